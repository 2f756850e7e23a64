import { inspect, RxhiveError, truncate } from '../kernel/errors.js';
import { callUser, disown } from '../kernel/guard.js';

/** Keys that users give: texts or numbers, each once. */
export class UniqueKeys {
  readonly #of: 'item' | 'value';
  readonly #wrong: (what: string, details?: Readonly<Record<string, unknown>>) => RxhiveError;
  readonly #indices = new Map<string, number>();

  /** `of`: what has a key, in errors; `wrong` makes an error of what is wrong and what to do. */
  constructor(
    of: 'item' | 'value',
    wrong: (what: string, details?: Readonly<Record<string, unknown>>) => RxhiveError,
  ) {
    this.#of = of;
    this.#wrong = wrong;
  }

  /** Text of the key of the one at `index`. @throws what `wrong` makes: it is no key, or another one has it */
  add(key: unknown, index: number): string {
    // It is refused; what it says later must not end the process.
    disown(key);
    if ((typeof key !== 'string' || key === '') && !Number.isFinite(key))
      throw this.#wrong(
        `the key of ${this.#of} ${index} is ${inspect(key)}; return a text that is not empty, or a finite number`,
      );
    const text = String(key);
    const other = this.#indices.get(text);
    if (other !== undefined)
      throw this.#wrong(
        `${this.#of}s ${other} and ${index} have the same key ${inspect(text)}; return one that differs from all others, for instance with the index in it`,
        { key: text, items: [other, index] },
      );
    this.#indices.set(text, index);
    return text;
  }

  has(text: string): boolean {
    return this.#indices.has(text);
  }
}

/** Ids of the items of one `flow.each`. Keys that make no good id, or the same for two items, are refused. */
export class ItemKeys {
  readonly #task: string;
  readonly #key: ((item: unknown, index: number) => unknown) | undefined;
  /** Has the stage before given an item of that key? Its keys differ, and hold here too where there is no `key`. */
  readonly #before: ((key: string) => boolean) | undefined;
  /** Of indices nothing has to be remembered. */
  readonly #items = new UniqueKeys('item', (what, details) => this.#wrong(what, details));
  #next = 0;

  /** `key`: default is the index, or the key an item had in the stage before. */
  constructor(
    task: string,
    key: ((item: unknown, index: number) => unknown) | undefined,
    before: ((key: string) => boolean) | undefined,
  ) {
    this.#task = task;
    this.#key = key;
    this.#before = before;
  }

  /** The key of the next item; `given`: the one it has from the stage before. @throws RxhiveError INVALID_OPTION */
  keyOf(item: unknown, given: string | undefined): string {
    const index = this.#next;
    const keyOf = this.#key;
    if (keyOf === undefined) {
      // Batches are named by the index of their first item.
      this.#next = Math.max(this.#next, Number(given ?? index) || 0) + 1;
      return given ?? String(index);
    }
    const key = callUser('flow.each key', () => keyOf(item, index));
    const text = this.#items.add(key, index);
    this.#next += 1;
    return text;
  }

  /** The id of the item with that key. */
  idOf(key: string): string {
    return `${this.#task}/${key}`;
  }

  /** Is that, or was it, the id of one of the items? Where keys come from the stage before: will it be? */
  has(id: string): boolean {
    const key = id.slice(this.#task.length + 1);
    if (this.#key !== undefined) return this.#items.has(key);
    if (this.#before !== undefined) return this.#before(key);
    const index = Number(key);
    return String(index) === key && Number.isInteger(index) && index >= 0 && index < this.#next;
  }

  #wrong(what: string, details: Readonly<Record<string, unknown>> = {}): RxhiveError {
    const message = `flow.each "${truncate(this.#task)}": ${what}.`;
    return new RxhiveError('INVALID_OPTION', message, { details: { taskId: this.#task, ...details } });
  }
}
