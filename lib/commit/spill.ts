import { decode, encode } from '../codec/codec.js';
import { RxhiveError, truncate } from '../kernel/errors.js';
import { isPromise, type MaybePromise, thenMaybe } from '../kernel/maybe-promise.js';
import { shortSpillAbove } from '../model/memory.js';
import type { LogRecord } from '../model/record.js';
import type { CheckpointStore } from '../model/store.js';

/** Longest spilled result in characters: what V8 takes as one string is twice as long. */
const longest = 256 * 1024 * 1024;

/** What a {@link Spill} puts texts in. `prompt`: it answers at once, but when it is busy. */
export type SpillTexts = Pick<CheckpointStore, 'get' | 'put'> & { readonly prompt?: boolean };

/** Large results as texts of the store: neither in memory nor in the log. */
export class Spill {
  readonly #texts: SpillTexts;
  readonly #usual: number;
  /** Keys of the log. */
  readonly #known = new Set<string>();
  readonly #shortBy = new Set<'run' | 'controller'>();
  #above: number;
  /** The store answers at once: what a task needs can be read when it starts. */
  #prompt = true;
  /** What a busy store is still to take. */
  readonly #held = new Map<string, string>();
  #putting: PromiseLike<void>[] = [];

  /** `above`: characters; Infinity: nothing is spilled, but what was can be read. */
  constructor(texts: SpillTexts, above: number) {
    this.#texts = texts;
    this.#usual = this.#above = above;
  }

  /** Memory is short, or no longer, as the run or its controller says: what is kept from now on may be small. */
  short(isShort: boolean, by: 'run' | 'controller' = 'run'): void {
    if (isShort) this.#shortBy.add(by);
    else this.#shortBy.delete(by);
    // Who said Infinity wants none of it.
    const lower = this.#shortBy.size > 0 && this.#usual < Number.POSITIVE_INFINITY;
    this.#above = lower ? Math.min(this.#usual, shortSpillAbove) : this.#usual;
  }

  /**
   * Keeps a large result as long as its run is in the store; its key, or undefined for one that stays where it is. `begun`,
   * when this process began with the run, keeps apart what two processes write of which one has lost the run.
   * @throws RxhiveError NOT_SERIALIZABLE
   */
  keep(
    runId: string,
    { id, value }: { readonly id: string; readonly value: unknown },
    begun: () => number,
  ): string | undefined {
    if (!this.#prompt || this.#above === Number.POSITIVE_INFINITY || isSmall(value)) return undefined;
    const text = encode(value, { longest, name: 'the result' });
    if (text.length <= this.#above) return undefined;
    const key = this.#newKey(runId, id, begun());
    const answer = this.#texts.put(key, text, runId);
    if (!isPromise(answer)) return key;
    this.#prompt = this.#texts.prompt === true;
    if (!this.#prompt) {
      answer.then(undefined, () => undefined);
      return undefined;
    }
    this.#held.set(key, text);
    const put = answer.then(() => void this.#held.delete(key));
    put.then(undefined, () => undefined);
    this.#putting.push(put);
    return key;
  }

  /** There at once, or when the store has taken what it was too busy for. */
  kept(): MaybePromise<void> {
    const putting = this.#putting;
    this.#putting = [];
    return putting.reduce<MaybePromise<void>>((before, put) => thenMaybe(before, () => put), undefined);
  }

  /** One that no record of the log has: what a task had given before it ran again can still be read. */
  #newKey(runId: string, taskId: string, begun: number): string {
    for (let nth = 1; ; nth++) {
      const key = keyOfResult(runId, taskId, begun, nth);
      if (this.#known.has(key)) continue;
      this.#known.add(key);
      return key;
    }
  }

  /** Reads a kept result. @throws RxhiveError STORE_FAILED; CheckpointCorruptError */
  load(key: string): unknown {
    const text = this.#held.get(key) ?? this.#texts.get(key);
    if (typeof text === 'string') return decode(text);
    if (isPromise(text)) text.then(undefined, () => undefined);
    const why =
      text === undefined
        ? 'is not in the store any more; use the store that it was put in'
        : 'is in a store that answers later; use one that answers at once, or try again if it was busy';
    const reason = text === undefined ? 'gone' : 'busy';
    throw new RxhiveError('STORE_FAILED', `The kept "${truncate(key)}" ${why}.`, { details: { reason } });
  }

  /** The result of a record as it is asked for, not before. */
  attach<T extends LogRecord>(record: T): T {
    if (record.kind !== 'commit' || record.spilled === undefined) return record;
    const { spilled } = record;
    this.#known.add(spilled);
    return Object.defineProperty(record, 'value', { get: () => this.load(spilled), enumerable: true });
  }
}

/** The key of a result: written as one value, so that no ids can be read as others. */
export function keyOfResult(runId: string, taskId: string, begun: number | 'fork', nth: number): string {
  return `result ${JSON.stringify([runId, taskId, begun, nth])}`;
}

/** Keys of results that records of a log had, and those in their place do not have. */
export function keysGone(before: readonly LogRecord[], after: readonly LogRecord[]): string[] {
  const keysOf = (records: readonly LogRecord[]): string[] =>
    records.flatMap((one) => (one.kind === 'commit' && one.spilled !== undefined ? [one.spilled] : []));
  const still = new Set(keysOf(after));
  return keysOf(before).filter((key) => !still.has(key));
}

/** Cannot be large: spares most results being written twice. */
function isSmall(value: unknown): boolean {
  return typeof value === 'string' ? value.length < 1_000 : typeof value !== 'object' || value === null;
}
