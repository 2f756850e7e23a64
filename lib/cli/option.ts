import { readFileSync } from 'node:fs';
import { WrongCall } from './wrong-call.js';

/** An option of a verb: how it is written, what it is for, and what its texts mean. */
export interface Option<T> {
  /** One line for `--help`. */
  readonly help: string;
  /** Name of its value, such as `FILE`; undefined: it is there or not. */
  readonly value?: string;
  /** It may be given several times. */
  readonly isList?: true;
  /** What was given, as a value; none: it was not given. @throws WrongCall */
  read(given: readonly string[], name: string): T;
}

/** Options by name, without the dashes. */
export type Options = { readonly [name: string]: Option<unknown> };

/** What was given for {@link Options}. */
export type Values<O extends Options> = {
  readonly [name in keyof O]: O[name] extends Option<infer T> ? T : never;
};

/** Is there, or not. */
export function flag(help: string): Option<boolean> {
  return { help, read: (given) => given.length > 0 };
}

/** A text, such as the name of a file. */
export function text(value: string, help: string): Option<string | undefined> {
  return { value, help, read: ([first]) => first };
}

/** Texts, one each time it is given. */
export function list(value: string, help: string): Option<readonly string[]> {
  return { value, help, isList: true, read: (given) => given };
}

/** One of some words; by default the first. */
export function oneOf<const W extends readonly [string, ...string[]]>(
  words: W,
  help: string,
): Option<W[number]> {
  return {
    value: words.join('|'),
    help,
    read: ([word = words[0]], name) => {
      if (words.includes(word)) return word;
      throw new WrongCall(`unknown ${name} ${word}; use ${words.slice(0, -1).join(', ')} or ${words.at(-1)}`);
    },
  };
}

/** A whole number within bounds. */
export function wholeNumber(help: string, from: number, to = 1e15): Option<number | undefined> {
  const bounds = to === 1e15 ? `from ${from}` : `from ${from} to ${to}`;
  return {
    value: 'N',
    help,
    read: ([given], name) => {
      const number = Number(given);
      if (given === undefined) return undefined;
      if (/^\d{1,15}$/.test(given) && number >= from && number <= to) return number;
      throw new WrongCall(`--${name} ${given}: give a whole number ${bounds}`);
    },
  };
}

/** A value as JSON, or `@FILE` that holds it; in a box, for any value may be meant. */
export function json(help: string): Option<{ readonly value: unknown } | undefined> {
  return {
    value: 'JSON|@FILE',
    help,
    read: ([given], name) => {
      if (given === undefined) return undefined;
      const file = given.startsWith('@') ? given.slice(1) : undefined;
      const where = `--${name}${file === undefined ? '' : ` ${given}`}`;
      try {
        return { value: JSON.parse(file === undefined ? given : readText(file)) };
      } catch (error) {
        if (error instanceof WrongCall) throw error;
        throw new WrongCall(`${where} is no JSON: ${(error as Error).message}`);
      }
    },
  };
}

/** The text of a file. @throws WrongCall that names it */
export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new WrongCall(`cannot read ${file}: ${reasonOf(error)}`);
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EISDIR: 'it is a folder',
  EACCES: 'it may not be read or written',
  EPERM: 'it may not be read or written',
  ENOSPC: 'the disk is full',
  EROFS: 'it may not be written',
};

/** Why a file could not be used, in words. */
export function reasonOf(error: unknown, to: 'read' | 'write' = 'read'): string {
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' && to === 'write') return 'there is no such folder';
  return reasons[code] ?? message;
}
