import type { Place, PlaceUse } from '../model/executor.js';
import type { PresentWorker, Where } from './transport.js';

/** The workers of one kind: as many attempts at once as they have slots. */
export class RemotePlace implements Place {
  readonly name: string;
  readonly where: Where;
  /** Why the workers cannot be reached now. */
  away: string | undefined;
  readonly #fixed: number | undefined;
  readonly #ahead: number;
  readonly #uses = new Set<() => void>();
  readonly #demands = new Map<object, number>();
  #workers: readonly PresentWorker[] = [];
  #ids: ReadonlySet<string> = new Set();

  constructor(name: string, where: Where, fixed: number | undefined, ahead: number) {
    const kind = [...where.labels, ...(where.version === '1' ? [] : [`version ${where.version}`])].join(', ');
    this.name = `workers of ${name}${kind === '' ? '' : ` (${kind})`}`;
    this.where = where;
    this.#fixed = fixed;
    this.#ahead = ahead;
  }

  get workers(): readonly PresentWorker[] {
    return this.#workers;
  }

  get slots(): number {
    // Nothing new begins that could not get there.
    if (this.away !== undefined) return 0;
    return this.#fixed ?? this.#workers.reduce((sum, { slots }) => sum + slots + this.#ahead, 0);
  }

  /** What all runs together could use: ready and running attempts. */
  get demand(): number {
    return [...this.#demands.values()].reduce((sum, one) => sum + one, 0);
  }

  has(worker: string): boolean {
    return this.#ids.has(worker);
  }

  /** Other workers are there now. */
  set(workers: readonly PresentWorker[]): void {
    this.#change(() => {
      this.#workers = workers;
      this.#ids = new Set(workers.map(({ id }) => id));
    });
  }

  /** The way to the workers is cut off, and why; undefined: it is open again. */
  cutOff(why: string | undefined): void {
    this.#change(() => {
      this.away = why;
    });
  }

  #change(make: () => void): void {
    const before = this.slots;
    make();
    if (this.slots !== before) for (const changed of [...this.#uses]) changed();
  }

  watch(changed: () => void): PlaceUse {
    const use = (): void => changed();
    this.#uses.add(use);
    return {
      demand: (ready, running) => void this.#demands.set(use, ready + running),
      close: () => {
        this.#uses.delete(use);
        this.#demands.delete(use);
      },
    };
  }
}
