import { getOrInsert } from '../kernel/get-or-insert.js';
import {
  checkLimiter,
  isLimiter,
  type Limiter,
  type LimiterClient,
  type LimiterSeat,
  type LimiterSettings,
} from '../model/limiter.js';
import { ClockCounter, type ConcurrencyCounter } from './concurrency.js';
import { WindowLedger } from './window-ledger.js';

/**
 * A limiter with sliding windows on the clock of each run. Runs in real time share one ledger; each virtual
 * time has its own, so a test begins with empty ones.
 */
export class WindowLimiter implements Limiter {
  settings: LimiterSettings;
  readonly #ledgers = new WeakMap<object, WindowLedger>();
  /** The same ledgers, to tell them of new settings. */
  readonly #all = new Set<WeakRef<WindowLedger>>();

  /** @throws RxhiveError INVALID_OPTION with everything that makes no sense */
  constructor(settings: LimiterSettings) {
    this.settings = { ...checkLimiter(settings) };
  }

  /** `lasts`: nobody in this process has a permit, and nothing says when there will be one. */
  seat(client: LimiterClient): LimiterSeat & { lasts(): boolean } {
    const ledger = this.#ledgerOf(client);
    return {
      admits: (request) => ledger.admits(client, request),
      wait: (request) => ledger.wait(client, request),
      unwait: (node) => ledger.unwait(client, node),
      take: (request, permit) => ledger.take(client, request, permit),
      delay: (request, ahead) => ledger.delay(client, request, ahead),
      refused: (permit, retryAfter) => ledger.refused(client, permit, retryAfter),
      passed: (permit) => ledger.passed(permit),
      told: (limits) => ledger.told(client, limits),
      lasts: () => ledger.stalled,
      state: () => ledger.state(client),
      close: () => ledger.close(client),
    };
  }

  update(settings: LimiterSettings): void {
    this.settings = checkLimiter({ ...this.settings, ...settings });
    for (const one of this.#all) one.deref()?.apply();
  }

  /** The ledger for the time of `client`, which its run has begun in. */
  #ledgerOf(client: LimiterClient): WindowLedger {
    const { clock } = client;
    return getOrInsert(this.#ledgers, clock.source, () => {
      const { real } = clock;
      const ledger = new WindowLedger(
        () => this.settings,
        real,
        (freed, failed) => this.concurrencyCounter(real, freed, failed),
      );
      for (const one of this.#all) if (one.deref() === undefined) this.#all.delete(one);
      this.#all.add(new WeakRef(ledger));
      return ledger;
    });
  }

  /** What counts how many run at once. It calls `freed` when there may be a place, `failed` when there is none for whoever is first. */
  protected concurrencyCounter(
    _real: boolean,
    _freed: () => void,
    _failed: (cause: unknown) => void,
  ): ConcurrencyCounter {
    return new ClockCounter();
  }
}

const ofSettings = new WeakMap<object, Limiter>();

/** The limiter an option means: itself, or the one all runs share that were given the same settings object. */
export function limiterOf(option: Limiter | LimiterSettings): Limiter {
  if (isLimiter(option)) return option;
  return getOrInsert(ofSettings, option, () => new WindowLimiter(option));
}
