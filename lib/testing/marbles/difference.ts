import { inspect } from 'node:util';
import { codeOf } from '../../replay/recording.js';
import { sameMoment } from '../explore/outcome.js';
import { drawMarbles, type Moment } from './marble-text.js';

/** An expectation of a marble test that did not hold; the message shows both sides, one under the other. */
export class MarbleMismatchError extends Error {
  readonly expected: string;
  readonly actual: string;

  constructor(message: string, expected: string, actual: string) {
    super(message);
    this.name = 'MarbleMismatchError';
    this.expected = expected;
    this.actual = actual;
  }
}

/** What differs between two lists of moments, as an error; undefined: nothing. */
export function difference(
  what: string,
  expected: readonly Moment[],
  actual: readonly Moment[],
  unit: number,
): MarbleMismatchError | undefined {
  const length = Math.max(expected.length, actual.length);
  let at = 0;
  while (at < length && sameMoment(expected[at], actual[at])) at += 1;
  if (at === length) return undefined;
  const named = name([...expected], [...actual]);
  const [above = '', below = ''] = drawMarbles([named.expected, named.actual], unit);
  const facts = [
    `expected  ${above}`,
    `actual    ${below}`,
    `          ${mark(above, below)}`,
    ...named.legend.map((line) => `          ${line}`),
    `first difference: expected ${say(expected[at])}, actual ${say(actual[at])}`,
  ];
  return new MarbleMismatchError(`${what} differs\n  ${facts.join('\n  ')}`, above, below);
}

/** Rows of text, one pair for each that differs. */
export function textDifference(
  what: string,
  expected: ReadonlyMap<string, string>,
  actual: ReadonlyMap<string, string>,
  picture: string,
): MarbleMismatchError | undefined {
  const names = [...new Set([...expected.keys(), ...actual.keys()])];
  const wrong = names.filter((row) => expected.get(row) !== actual.get(row));
  if (wrong.length === 0) return undefined;
  const width = Math.max(8, ...wrong.map((row) => row.length));
  const lines = wrong.flatMap((row) => {
    const [above = '(no such row)', below = '(no such task)'] = [expected.get(row), actual.get(row)];
    return [
      row,
      `${'expected'.padStart(width)}  ${above}`,
      `${'actual'.padStart(width)}  ${below}`,
      `${' '.repeat(width)}  ${mark(above, below)}`,
    ];
  });
  const both = (rows: ReadonlyMap<string, string>): string =>
    [...rows].map(([row, cells]) => `${row} ${cells}`).join('\n');
  const message = `${what} differs in ${wrong.length} of ${names.length} rows\n  ${lines.join('\n  ')}\nthe whole run, ready to paste:\n${picture}`;
  return new MarbleMismatchError(message, both(expected), both(actual));
}

/** A caret under the first character that differs. */
function mark(a: string, b: string): string {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i += 1;
  return `${' '.repeat(i)}^`;
}

/** Gives values letters: the one they were expected under, their own where they are one, else a free one. */
function name(
  expected: readonly Moment[],
  actual: readonly Moment[],
): { expected: Moment[]; actual: Moment[]; legend: string[] } {
  const used = new Set(expected.map(({ letter }) => letter));
  const fresh = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'].filter((one) => !used.has(one));
  const legend: string[] = [];
  const known: Moment[] = [...expected];
  const named = actual.map((moment) => {
    if (moment.kind !== 'next') return moment;
    const like = known.find((one) => one.kind === 'next' && sameMoment({ ...one, at: moment.at }, moment));
    if (like !== undefined) return { ...moment, letter: like.letter as string };
    const own = typeof moment.value === 'string' && moment.value.length === 1 && !used.has(moment.value);
    const letter = own ? (moment.value as string) : (fresh.shift() ?? '?');
    used.add(letter);
    if (!own) legend.push(`${letter} = ${text(moment.value)}`);
    const found = { ...moment, letter };
    known.push(found);
    return found;
  });
  return { expected: [...expected], actual: named, legend };
}

function text(value: unknown): string {
  return inspect(value, { depth: 4, breakLength: Number.POSITIVE_INFINITY, maxStringLength: 200 });
}

function say(moment: Moment | undefined): string {
  if (moment === undefined) return 'nothing more';
  const { at, kind } = moment;
  if (kind === 'next') return `value ${text(moment.value)} at ${at} ms`;
  if (kind === 'error') return `error ${codeOf(moment.error)} at ${at} ms`;
  return `${kind} at ${at} ms`;
}
