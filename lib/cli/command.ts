import { parseArgs } from 'node:util';
import type { Options, Values } from './option.js';
import type { Output } from './output.js';
import { WrongCall } from './wrong-call.js';

/** A word of a call that is no option. */
export interface Word {
  /** In capitals, as help shows it. */
  readonly name: string;
  /** What to say where it is missing; undefined: it need not be there. */
  readonly missing?: string;
}

type Words<W extends readonly Word[]> = {
  readonly [i in keyof W]: W[i] extends { readonly missing: string } ? string : string | undefined;
};

/** What a verb was called with. */
export interface Call<W extends readonly Word[], O extends Options> {
  readonly words: Words<W>;
  readonly values: Values<O>;
  readonly out: Output;
}

/** A verb as it is declared: help, the refusal of what it does not know and the types of its values all come from here. */
export interface Declaration<W extends readonly Word[], O extends Options> {
  readonly name: string;
  /** What it does, in one line. */
  readonly help: string;
  readonly words: W;
  readonly options: O;
  /** Resolves with the exit code. @throws WrongCall */
  does(call: Call<W, O>): Promise<number>;
}

/** A verb of the command. */
export interface Command {
  readonly name: string;
  readonly help: string;
  /** The first line of its help: how it is called. */
  readonly usage: string;
  /** All of its help. */
  readonly manual: string;
  /** Does it with the words after its name; resolves with the exit code. @throws WrongCall */
  run(words: readonly string[], out: Output): Promise<number>;
}

/** Makes a verb of its declaration. */
export function command<const W extends readonly Word[], const O extends Options>(
  declared: Declaration<W, O>,
): Command {
  const { name, help, does } = declared;
  const usage = usageOf(declared);
  return {
    name,
    help,
    usage,
    manual: [usage, '', `  ${help}`, ...optionLines(declared.options)].join('\n'),
    run: (words, out) => does({ ...parse(declared, words), out }),
  };
}

function parse<W extends readonly Word[], O extends Options>(
  { name, words: wanted, options }: Declaration<W, O>,
  args: readonly string[],
): { readonly words: Words<W>; readonly values: Values<O> } {
  const kinds = Object.entries(options).map(([key, { value }]) => [
    key,
    { type: value === undefined ? ('boolean' as const) : ('string' as const) },
  ]);
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(kinds),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const help = `rxhive ${name} --help lists what it takes`;
  const words: string[] = [];
  const given = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value);
    if (token.kind !== 'option') continue;
    const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined;
    if (option === undefined || token.rawName !== `--${token.name}`)
      throw new WrongCall(`unknown option ${token.rawName}${near(token.name, options)}; ${help}`);
    const { value, isList } = option;
    if (value === undefined && token.value !== undefined)
      throw new WrongCall(`${token.rawName} takes no value, but got ${token.value}`);
    if (value !== undefined && isMissing(token))
      throw new WrongCall(`${token.rawName} needs a value: ${token.rawName} ${value}`);
    const before = given.get(token.name) ?? [];
    if (before.length > 0 && isList !== true)
      throw new WrongCall(`${token.rawName} is given twice; give it once`);
    given.set(token.name, [...before, token.value ?? '']);
  }
  const missing = wanted[words.length]?.missing;
  if (missing !== undefined) throw new WrongCall(missing);
  const empty = words.findIndex((word, i) => word === '' && wanted[i]?.missing !== undefined);
  if (empty >= 0) throw new WrongCall(`${wanted[empty]?.name} is empty: ${wanted[empty]?.missing}`);
  const extra = words[wanted.length];
  if (extra !== undefined) throw new WrongCall(`there is no use for ${JSON.stringify(extra)}; ${help}`);
  const values = Object.entries(options).map(([key, option]) => [
    key,
    option.read(given.get(key) ?? [], key),
  ]);
  return {
    words: wanted.map((_, i) => words[i]) as unknown as Words<W>,
    values: Object.fromEntries(values) as Values<O>,
  };
}

/** Nothing, or the next option: who means a text that begins with dashes writes `--name=--text`. */
function isMissing(token: {
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}): boolean {
  const { value, inlineValue } = token;
  return value === undefined || value.trim() === '' || (inlineValue !== true && value.startsWith('--'));
}

/** The option that could have been meant. */
function near(wanted: string, options: Options): string {
  const found = Object.keys(options).find(
    (name) => name.startsWith(wanted) || wanted.startsWith(name) || isOneOff(name, wanted),
  );
  return found === undefined ? '' : `, did you mean --${found}?`;
}

/** Are they the same but for one letter, too many, too few or another one? */
function isOneOff(a: string, b: string): boolean {
  let start = 0;
  while (start < a.length && a[start] === b[start]) start += 1;
  return [
    a.slice(start + 1) === b.slice(start + 1),
    a.slice(start + 1) === b.slice(start),
    a.slice(start) === b.slice(start + 1),
  ].includes(true);
}

function usageOf({
  name,
  words,
  options,
}: Pick<Declaration<readonly Word[], Options>, 'name' | 'words' | 'options'>): string {
  const parts = words.map((word) => (word.missing === undefined ? `[${word.name}]` : word.name));
  return ['rxhive', name, ...parts, ...(Object.keys(options).length === 0 ? [] : ['[options]'])].join(' ');
}

function optionLines(options: Options): readonly string[] {
  const rows = Object.entries(options).map(
    ([name, { value, help }]) => [`--${name}${value === undefined ? '' : ` ${value}`}`, help] as const,
  );
  const widest = Math.max(0, ...rows.map(([left]) => left.length));
  return rows.length === 0
    ? []
    : ['', 'Options', ...rows.map(([left, help]) => `  ${left.padEnd(widest)}  ${help}`)];
}
