import { inspect, RxhiveError, truncate } from '../kernel/errors.js';
import { callUser, disown } from '../kernel/guard.js';

/** Ids of the items of one `flow.each`. Keys that make no good id, or the same for two items, are refused. */
export class ItemKeys {
  readonly #task: string;
  readonly #key: ((item: unknown, index: number) => unknown) | undefined;
  /** Which item has a key. Of indices nothing has to be remembered. */
  readonly #items = new Map<string, number>();
  #next = 0;

  /** `key`: default is the index. */
  constructor(task: string, key: ((item: unknown, index: number) => unknown) | undefined) {
    this.#task = task;
    this.#key = key;
  }

  /** The id of the next item. @throws RxhiveError INVALID_OPTION */
  idOf(item: unknown): string {
    const index = this.#next;
    const keyOf = this.#key;
    const key = keyOf === undefined ? index : callUser('flow.each key', () => keyOf(item, index));
    // It is refused; what it says later must not end the process.
    disown(key);
    if ((typeof key !== 'string' || key === '') && !Number.isFinite(key))
      throw this.#wrong(
        `the key of item ${index} is ${inspect(key)}; return a text that is not empty, or a finite number`,
      );
    const text = String(key);
    const other = this.#items.get(text);
    if (other !== undefined)
      throw this.#wrong(
        `items ${other} and ${index} have the same key ${inspect(text)}; return one that differs from all others, for instance with the index in it`,
        { key: text, items: [other, index] },
      );
    if (this.#key !== undefined) this.#items.set(text, index);
    this.#next += 1;
    return `${this.#task}/${text}`;
  }

  /** Is that, or was it, the id of one of the items? */
  has(id: string): boolean {
    const text = id.slice(this.#task.length + 1);
    if (this.#key !== undefined) return this.#items.has(text);
    const index = Number(text);
    return String(index) === text && Number.isInteger(index) && index >= 0 && index < this.#next;
  }

  #wrong(what: string, details: Readonly<Record<string, unknown>> = {}): RxhiveError {
    const message = `flow.each "${truncate(this.#task)}": ${what}.`;
    return new RxhiveError('INVALID_OPTION', message, { details: { taskId: this.#task, ...details } });
  }
}
