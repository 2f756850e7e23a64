import { inspect, RxhiveError } from '../../kernel/errors.js';

/** One thing that happens in a marble diagram. */
export interface Moment {
  /** Ms of virtual time. */
  readonly at: number;
  readonly kind: 'next' | 'error' | 'complete' | 'subscribe' | 'unsubscribe';
  /** With `next`: the letter in the text. */
  readonly letter?: string;
  readonly value?: unknown;
  readonly error?: unknown;
}

const inMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const progress = /^(\d+(?:\.\d+)?)(ms|s|m|h)(?=\s|$)/;
const marks: Readonly<Record<string, Moment['kind']>> = {
  '|': 'complete',
  '#': 'error',
  '^': 'subscribe',
  '!': 'unsubscribe',
};
/** Longest gap drawn as dashes; longer ones become time progressions. */
const longestGap = 24;

/** Ms from a number of ms or a text such as `150ms`, `5s`, `2m` or `1h`. @throws RxhiveError INVALID_OPTION */
export function durationOf(time: number | string): number {
  if (typeof time === 'number' && time >= 0) return time;
  const match = typeof time === 'string' ? progress.exec(time.trim()) : null;
  if (match !== null) return Number(match[1]) * (inMs[match[2] as string] as number);
  throw new RxhiveError(
    'INVALID_OPTION',
    `${inspect(time)} is no time; give ms, or a text such as 150ms or 5s.`,
  );
}

/**
 * Reads a marble diagram as rxjs does: `-` and every other character is one `unit` of time, `a` a value, `|` the end,
 * `#` an error, `^` and `!` subscribing and unsubscribing, `(ab|)` happens at once (and takes as long as it has
 * characters), `5s 20ms` passes time (also `m` and `h`), blanks mean nothing.
 * @throws RxhiveError INVALID_OPTION
 */
export function parseMarbles(text: string, unit = 1): Moment[] {
  const moments: Moment[] = [];
  let at = 0;
  let group = -1;
  for (let i = 0; i < text.length; i++) {
    const letter = text[i] as string;
    if (/\s/.test(letter)) continue;
    const free = group < 0 && (i === 0 || /\s/.test(text[i - 1] as string));
    const jump = free ? progress.exec(text.slice(i)) : null;
    if (jump !== null) {
      at += durationOf(jump[0]);
      i += jump[0].length - 1;
      continue;
    }
    if (letter === '(' || letter === ')') {
      if ((letter === '(') !== group < 0)
        throw new RxhiveError(
          'INVALID_OPTION',
          `Marbles ${inspect(text)} have a ${letter} without its partner.`,
        );
      group = letter === '(' ? at : -1;
    } else if (letter !== '-') {
      const kind = marks[letter] ?? 'next';
      moments.push({ at: group < 0 ? at : group, kind, ...(kind === 'next' && { letter, value: letter }) });
    }
    at += unit;
  }
  if (group >= 0)
    throw new RxhiveError('INVALID_OPTION', `Marbles ${inspect(text)} have a ( without its partner.`);
  return moments;
}

/** Draws rows of moments one under the other, same time in the same column; each row alone is a marble diagram. */
export function drawMarbles(rows: readonly (readonly Moment[])[], unit = 1): string[] {
  const times = [...new Set(rows.flatMap((row) => row.map(({ at }) => at)))].sort((a, b) => a - b);
  const lines = rows.map(() => '');
  let now = 0;
  while (times.length > 0) {
    const start = times[0] as number;
    // Times that fall within a group of another row are drawn together with it.
    let cells = rows.map(() => '');
    let width = 1;
    while (times.length > 0 && (times[0] as number) < start + width * unit) {
      const time = times.shift() as number;
      cells = cells.map((cell, i) => {
        const moments = (rows[i] as readonly Moment[]).filter(({ at }) => at === time);
        return moments.length === 0
          ? cell
          : cell.padEnd(Math.floor((time - start) / unit), '-') + cellOf(moments);
      });
      width = Math.max(...cells.map((cell) => cell.length));
    }
    const gap = gapText(start - now, unit);
    cells.forEach((cell, i) => {
      lines[i] += gap + cell.padEnd(width, '-');
    });
    now = start + width * unit;
  }
  return lines.map((line) => line.trim().replace(/(?<=[^-])-+$/, ''));
}

function gapText(ms: number, unit: number): string {
  if (ms <= 0) return '';
  const units = ms / unit;
  return Number.isInteger(units) && units <= longestGap ? '-'.repeat(units) : ` ${ms}ms `;
}

function cellOf(moments: readonly Moment[]): string {
  const text = moments.map(({ kind, letter }) => letterOf(kind, letter)).join('');
  return moments.length > 1 ? `(${text})` : text;
}

function letterOf(kind: Moment['kind'], letter: string | undefined): string {
  if (kind === 'next') return letter ?? '?';
  return Object.entries(marks).find(([, one]) => one === kind)?.[0] as string;
}
