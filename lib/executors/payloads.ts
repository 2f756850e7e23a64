import { createHash } from 'node:crypto';
import { decode, encode } from '../codec/codec.js';
import { RxhiveError } from '../kernel/errors.js';
import { isPromise, type MaybePromise, thenMaybe } from '../kernel/maybe-promise.js';
import type { CheckpointStore } from '../model/store.js';
import type { Payload } from '../model/wire.js';

/** What large values are kept in. */
export type PayloadStore = Pick<CheckpointStore, 'get' | 'put'>;

/** Characters of a value that still travel with its message. */
export const inlineDefault = 64 * 1024;

/** Makes payloads of values and values of payloads. */
export class Payloads {
  readonly #store: PayloadStore | undefined;
  readonly #inline: number;

  /** Without a store all values travel with their messages. */
  constructor(store?: PayloadStore, inline = inlineDefault) {
    this.#store = store;
    this.#inline = inline;
  }

  /**
   * Answers with a promise for a value that is put into the store, under its hash: what is sent twice is kept once. It is
   * forgotten with the run, where one is given.
   * @throws RxhiveError NOT_SERIALIZABLE, STORE_FAILED
   */
  write(value: unknown, name = 'the value', runId?: string): MaybePromise<Payload> {
    const text = encode(value, { name, lossy: true });
    if (this.#store === undefined || text.length <= this.#inline) return { text };
    const ref = `rxhive/payload/${createHash('sha256').update(text).digest('base64url')}`;
    const payload = { ref, bytes: Buffer.byteLength(text) };
    const put = this.#store.put(ref, text, runId);
    return isPromise(put) ? Promise.resolve(put).then(() => payload) : payload;
  }

  /** @throws RxhiveError STORE_FAILED where the store has it no more or there is none */
  read(payload: Payload): MaybePromise<unknown> {
    if ('text' in payload) return decode(payload.text);
    if (this.#store === undefined)
      throw missing(payload.bytes, 'was left in a store, and none is given here');
    return thenMaybe(this.#store.get(payload.ref), (text) => {
      if (text === undefined) throw missing(payload.bytes, 'is not in the store');
      return decode(text);
    });
  }
}

function missing(bytes: number, what: string): RxhiveError {
  const message = `A value of ${bytes} bytes ${what}; give workers and controllers the same store.`;
  return new RxhiveError('STORE_FAILED', message, { details: { reason: 'gone' } });
}
