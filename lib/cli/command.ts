import { type ParseArgsConfig, parseArgs } from 'node:util';
import { WrongCall } from './wrong-call.js';

/** One command: what it does with the words after its name. Resolves with the exit code. @throws WrongCall */
export type Command = (words: readonly string[]) => Promise<number>;

/** `parseArgs` whose complaints are wrong calls. */
export function parse<const C extends ParseArgsConfig>(config: C): ReturnType<typeof parseArgs<C>> {
  try {
    return parseArgs(config);
  } catch (error) {
    throw new WrongCall((error as Error).message.split('\n')[0]);
  }
}
