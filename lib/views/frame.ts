/** Where a terminal is written to: `process.stderr`, or anything with `write`. */
export interface TerminalStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

const sequence = '\u001b[';

/**
 * Lines at the end of a terminal that are drawn again and again, each time in place of those before. They are cut to the
 * width and to fewer rows than there are, so that none of them is ever scrolled out of the screen and left behind.
 */
export class Frame {
  readonly #stream: TerminalStream;
  readonly #unhook: () => void;
  #lines: readonly string[] = [];
  /** Is the frame writing itself? */
  #own = false;

  /** `shares`: what the process prints meanwhile, where it is the same terminal, is put above the frame. */
  constructor(stream: TerminalStream, shares: boolean) {
    this.#stream = stream;
    this.#unhook = shares ? this.#hook() : () => undefined;
  }

  get columns(): number {
    return Math.max(8, this.#stream.columns ?? 80);
  }

  /** Most lines that are drawn. */
  get most(): number {
    return Math.max(1, (this.#stream.rows ?? 24) - 1);
  }

  /** Draws lines, the last ones where there are too many; what is `above` them stays. */
  draw(lines: readonly string[], above: readonly string[] = []): void {
    const { columns, most } = this;
    const kept = lines.slice(-most).map((line) => cut(line, columns - 1));
    // Erased line by line: some terminals keep a screen that is cleared as a whole.
    const rows = Math.min(
      most,
      this.#lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / columns)), 0),
    );
    const up = rows === 0 ? '' : `${sequence}${rows}A`;
    const erased = rows === 0 ? '' : `\r${up}${`${sequence}2K\n`.repeat(rows)}${up}`;
    const stays = above.map((line) => `${line}\n`).join('');
    // Without wrapping: a terminal may find a character wider than expected.
    const drawn =
      kept.length === 0 ? '' : `${sequence}?7l${kept.map((line) => `${line}\n`).join('')}${sequence}?7h`;
    this.#own = true;
    this.#stream.write(`${erased}${stays}${drawn}`);
    this.#own = false;
    this.#lines = kept;
  }

  /** What was drawn last stays; prints what others have begun to print. */
  end(): void {
    this.#unhook();
  }

  /** Lets whole lines that others print stand above the frame; the beginning of a line waits for its end. */
  #hook(): () => void {
    const undo = [process.stdout, process.stderr]
      .filter((stream) => stream.isTTY)
      .map((stream) => {
        const { write } = stream;
        let rest = '';
        stream.write = ((chunk: string | Uint8Array, ...more: unknown[]) => {
          if (this.#own) return write.apply(stream, [chunk, ...more] as never);
          const lines = `${rest}${typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString()}`.split(
            '\n',
          );
          rest = lines.pop() ?? '';
          if (lines.length > 0) this.draw(this.#lines, lines);
          const done = more.at(-1);
          if (typeof done === 'function') process.nextTick(done as () => void);
          return true;
        }) as typeof stream.write;
        return () => {
          stream.write = write;
          if (rest !== '') stream.write(`${rest}\n`);
        };
      });
    return () => {
      for (const one of undo) one();
    };
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: styles begin with one
const parts = /\u001b\[[0-9;]*m|[\s\S]/gu;
const wide =
  /[\p{Emoji_Presentation}\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\u3000-\u303f\uff01-\uff60]/u;

/** Columns that a line takes; styles take none. */
export function widthOf(line: string): number {
  return (line.match(parts) ?? []).reduce((sum, part) => sum + widthOfPart(part), 0);
}

/** A line that takes so many columns at most, with all of its styles. */
export function cut(line: string, columns: number): string {
  if (line.length <= columns && !wide.test(line)) return line;
  let left = columns;
  return (line.match(parts) ?? [])
    .filter((part) => {
      left -= widthOfPart(part);
      return left >= 0 || part.startsWith('\u001b');
    })
    .join('');
}

function widthOfPart(part: string): number {
  if (part.startsWith('\u001b') || /^\p{Mark}$/u.test(part)) return 0;
  return wide.test(part) ? 2 : 1;
}
