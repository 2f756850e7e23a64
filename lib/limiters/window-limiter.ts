import type { ToldLimit } from '../kernel/http-headers.js';
import {
  checkLimiter,
  isLimiter,
  type Limiter,
  type LimiterClient,
  type LimiterSeat,
  type LimiterSettings,
  type LimiterState,
  type Permit,
  type PermitRequest,
} from '../model/limiter.js';
import type { OrderedTask } from '../model/task-order.js';
import { ClockPlaces, type Places } from './concurrency.js';
import { PermitBooks } from './window-ledger.js';

/**
 * A limiter with sliding windows on the clock of each run. Runs in real time share one set of books; each virtual
 * time has its own, so a test begins with empty ones.
 */
export class WindowLimiter implements Limiter {
  #settings: LimiterSettings;
  readonly #books = new WeakMap<object, PermitBooks>();
  /** The same books, to tell them of new settings. */
  readonly #all = new Set<WeakRef<PermitBooks>>();

  /** @throws RxhiveError INVALID_OPTION with everything that makes no sense */
  constructor(settings: LimiterSettings) {
    this.#settings = { ...checkLimiter(settings) };
  }

  get settings(): LimiterSettings {
    return this.#settings;
  }

  seat(client: LimiterClient): LimiterSeat {
    return new Seat(this, client);
  }

  update(settings: LimiterSettings): void {
    this.#settings = checkLimiter({ ...this.#settings, ...settings });
    for (const one of this.#all) one.deref()?.apply();
  }

  /** The books for the time of `client`. */
  booksOf(client: LimiterClient): PermitBooks {
    const { source } = client.clock;
    let books = this.#books.get(source);
    if (books === undefined) {
      const { real } = client.clock;
      books = new PermitBooks(
        () => this.#settings,
        real,
        (freed, failed) => this.places(real, freed, failed),
      );
      for (const one of this.#all) if (one.deref() === undefined) this.#all.delete(one);
      this.#books.set(source, books);
      this.#all.add(new WeakRef(books));
    }
    return books;
  }

  /** What counts how many run at once. It calls `freed` when there may be a place, `failed` when there is none for whoever is first. */
  protected places(_real: boolean, _freed: () => void, _failed: (cause: unknown) => void): Places {
    return new ClockPlaces();
  }
}

class Seat implements LimiterSeat {
  readonly #limiter: WindowLimiter;
  readonly #client: LimiterClient;
  #found: PermitBooks | undefined;

  constructor(limiter: WindowLimiter, client: LimiterClient) {
    this.#limiter = limiter;
    this.#client = client;
  }

  /** Looked up when first needed: only a run that has started knows its time. */
  get #books(): PermitBooks {
    this.#found ??= this.#limiter.booksOf(this.#client);
    return this.#found;
  }

  admits(request: PermitRequest): boolean {
    return this.#books.admits(this.#client, request);
  }

  wait(request: PermitRequest): void {
    this.#books.wait(this.#client, request);
  }

  unwait(node: OrderedTask): void {
    this.#books.unwait(this.#client, node);
  }

  take(request: PermitRequest, permit?: Permit): Permit {
    return this.#books.take(this.#client, request, permit);
  }

  delay(request: PermitRequest, ahead: number): number | undefined {
    return this.#books.delay(this.#client, request, ahead);
  }

  refused(permit: Permit, asked: number | undefined): number | undefined {
    return this.#books.refused(this.#client, permit, asked);
  }

  passed(permit: Permit): void {
    this.#books.passed(permit);
  }

  told(limits: readonly ToldLimit[]): void {
    this.#books.told(this.#client, limits);
  }

  state(): LimiterState {
    return this.#books.state(this.#client);
  }

  close(): void {
    this.#found?.close(this.#client);
  }
}

const ofSettings = new WeakMap<object, Limiter>();

/** The limiter an option means: itself, or the one all runs share that were given the same settings object. */
export function limiterOf(option: Limiter | LimiterSettings): Limiter {
  if (isLimiter(option)) return option;
  let limiter = ofSettings.get(option);
  if (limiter === undefined) {
    limiter = new WindowLimiter(option);
    ofSettings.set(option, limiter);
  }
  return limiter;
}
