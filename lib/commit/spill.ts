import { brief, RxhiveError } from '../kernel/errors.js';
import { isLate } from '../kernel/late.js';
import { shortSpillAbove } from '../model/memory.js';
import type { LogRecord } from '../model/record.js';
import type { CheckpointStore } from '../model/store.js';
import { decode, encode } from './codec.js';

/** Longest spilled result in characters: what V8 takes as one string is twice as long. */
const longest = 256 * 1024 * 1024;

/** Large results as texts of the store: neither in memory nor in the log. */
export class Spill {
  readonly #texts: Pick<CheckpointStore, 'get' | 'put'>;
  readonly #usual: number;
  #above: number;
  /** The store answers at once: what a task needs can be read when it starts. */
  #prompt = true;

  /** `above`: characters; Infinity: nothing is spilled, but what was can be read. */
  constructor(texts: Pick<CheckpointStore, 'get' | 'put'>, above: number) {
    this.#texts = texts;
    this.#usual = this.#above = above;
  }

  /** Memory is short, or no longer: what is kept from now on may be small. */
  short(isShort: boolean): void {
    // Who said Infinity wants none of it.
    const lower = isShort && this.#usual < Number.POSITIVE_INFINITY;
    this.#above = lower ? Math.min(this.#usual, shortSpillAbove) : this.#usual;
  }

  /**
   * Keeps a large result; its key, or undefined for one that stays where it is. `seq`, the number of its record, makes the
   * key its own: forks still read what a task had given before it ran again. @throws RxhiveError NOT_SERIALIZABLE
   */
  keep(runId: string, taskId: string, seq: number, value: unknown): string | undefined {
    if (!this.#prompt || this.#above === Number.POSITIVE_INFINITY || isSmall(value)) return undefined;
    const text = encode(value, longest);
    if (text.length <= this.#above) return undefined;
    const key = `result ${runId}/${taskId}/${seq}`;
    const answer = this.#texts.put(key, text);
    if (!isLate(answer)) return key;
    this.#prompt = false;
    answer.then(undefined, () => undefined);
    return undefined;
  }

  /** Reads a kept result. @throws RxhiveError STORE_FAILED; CheckpointCorruptError */
  load(key: string): unknown {
    const text = this.#texts.get(key);
    if (typeof text === 'string') return decode(text);
    const why = text === undefined ? 'is not in the store any more' : 'is in a store that answers later';
    throw new RxhiveError(
      'STORE_FAILED',
      `The kept "${brief(key)}" ${why}; use the store that it was put in.`,
    );
  }

  /** The result of a record as it is asked for, not before. */
  attach<T extends LogRecord>(record: T): T {
    if (record.kind !== 'commit' || record.spilled === undefined) return record;
    const { spilled } = record;
    return Object.defineProperty(record, 'value', { get: () => this.load(spilled), enumerable: true });
  }
}

/** Cannot be large: spares most results being written twice. */
function isSmall(value: unknown): boolean {
  return typeof value === 'string' ? value.length < 1_000 : typeof value !== 'object' || value === null;
}
