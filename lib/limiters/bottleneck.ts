import type Bottleneck from 'bottleneck';
import { getOrInsert } from '../kernel/get-or-insert.js';
import type { Limiter, LimiterSettings, PermitRequest } from '../model/limiter.js';
import { ClockCounter, type ConcurrencyCounter, type Place } from './concurrency.js';
import { WindowLimiter } from './window-limiter.js';

/** Places asked for at a time: more would be wasted when tasks are cancelled meanwhile. */
const batch = 4;
/** Ms after which places that nobody took are given back. */
const longestHeld = 100;
/** Ms between looks at a Bottleneck of the user that gives no place. */
const betweenLooks = 250;
/** Ms after which it is said that other code has had all places. */
const noticeable = 1_000;

/**
 * A limiter whose `maxConcurrent` and `minTime` are those of a Bottleneck, in real time and in this process. Give
 * `instance` to share a Bottleneck that other code uses too: each attempt is then one of its jobs, and its own limits
 * hold as well. Windows are counted by rxhive itself: a reservoir would let a double burst through at its border.
 *
 * One that is stopped, drops jobs or runs dry fails the tasks that wait for it, with `LIMITER_FAILED`.
 *
 * Under a virtual scheduler it is what `virtual(settings)` is, so that workflows can be tested as they are.
 *
 * ```ts
 * groups: { llm: { limiter: bottleneck({ requestsPerMinute: 600, maxConcurrent: 8, minTime: 20 }) } }
 * ```
 * @throws RxhiveError INVALID_OPTION with everything that makes no sense
 */
export function bottleneck(
  settings: LimiterSettings & { readonly instance?: Bottleneck | undefined },
): Limiter {
  const { instance, ...rest } = settings;
  return new BottleneckLimiter(rest, instance);
}

/** What is read of Bottleneck's own store of its reservoir. */
interface Store {
  readonly storeOptions?: Record<string, unknown>;
  readonly heartbeat?: { readonly _destroyed?: unknown };
}

class BottleneckLimiter extends WindowLimiter {
  readonly #instance: Bottleneck | undefined;

  constructor(settings: LimiterSettings, instance: Bottleneck | undefined) {
    super(settings);
    this.#instance = instance;
  }

  protected override concurrencyCounter(
    real: boolean,
    freed: () => void,
    failed: (cause: unknown) => void,
  ): ConcurrencyCounter {
    return real ? new BottleneckCounter(this.#instance, freed, failed) : new ClockCounter();
  }
}

/**
 * Places as jobs of a Bottleneck. One that has begun is a permit in hand; it ends when its task gives the place back.
 * Where starts need no distance, a place goes on to the next task without a new job: Bottleneck alone makes about 390
 * jobs a second.
 */
class BottleneckCounter implements ConcurrencyCounter {
  inUse = 0;
  readonly #given: Bottleneck | undefined;
  readonly #freed: () => void;
  readonly #failed: (cause: unknown) => void;
  readonly #gaps = new ClockCounter();
  #own: Bottleneck | undefined;
  #settings: LimiterSettings = {};
  /** Begun jobs without a task; calling one ends it. */
  readonly #inHand: (() => void)[] = [];
  #requested = 0;
  #sweep: ReturnType<typeof setTimeout> | undefined;
  #look: ReturnType<typeof setTimeout> | undefined;
  /** Somebody waits. */
  #wanted = false;
  /** Since when nobody was given a place, in ms. */
  #without = 0;

  constructor(given: Bottleneck | undefined, freed: () => void, failed: (cause: unknown) => void) {
    this.#given = given;
    this.#freed = freed;
    this.#failed = failed;
  }

  freeAt(now: number, request: PermitRequest): number {
    if (!this.#limits || this.#inHand.length > 0) return this.#gaps.freeAt(now, request);
    return Number.POSITIVE_INFINITY;
  }

  get stalled(): boolean {
    if (this.#given === undefined || !this.#wanted || this.inUse > 0 || this.#inHand.length > 0) return false;
    // A job that has not begun waits for a time of the Bottleneck's own.
    return performance.now() - this.#without >= noticeable && this.#given.counts().EXECUTING > 0;
  }

  request(): void {
    if (!this.#wanted) this.#without = performance.now();
    this.#wanted = true;
    if (this.#given === undefined && this.#own === undefined && this.#limits && !this.#make()) return;
    const most = this.#distant ? 1 : batch;
    while (this.#limits && this.#requested + this.#inHand.length < most) this.#askOne();
    if (this.#given !== undefined && this.#requested > 0) this.#lookDry(this.#given);
  }

  /** As long as somebody waits: others may empty it, or disconnect it, meanwhile. */
  #lookAgain(given: Bottleneck): void {
    this.#look ??= setTimeout(() => {
      this.#look = undefined;
      if (this.#wanted && this.#requested > 0) this.#lookDry(given);
    }, betweenLooks).unref();
  }

  /** A reservoir that is empty and that nothing fills gives no place any more. */
  #lookDry(given: Bottleneck): void {
    this.#lookAgain(given);
    if (refills(given)) return;
    const look = (left: number | null): void => {
      const dry = 'The reservoir of the Bottleneck is empty, and no interval fills it again.';
      if (left === 0 && this.#wanted && this.#requested > 0) this.#failed(new Error(dry));
    };
    given.currentReservoir().then(look, () => undefined);
  }

  idle(): void {
    this.#wanted = false;
    if (this.#own === undefined || this.#requested === 0 || this.inUse > 0) return;
    // Its timers would keep the process alive until the next start is allowed. The distance to that is in #gaps too.
    this.#own.stop({ dropWaitingJobs: true }).catch(() => undefined);
    this.#own = undefined;
    this.#requested = 0;
  }

  take(now: number, request: PermitRequest): Place {
    this.inUse += 1;
    const end = this.#inHand.pop();
    const gap = this.#gaps.take(now, request);
    const free = (): void => {
      this.inUse -= 1;
      this.#without = performance.now();
      gap.free();
      if (end === undefined) return;
      if (this.#wanted && !this.#distant) this.#keep(end);
      else end();
    };
    return { free };
  }

  update(settings: LimiterSettings): void {
    this.#settings = settings;
    // The distance holds also between a permit that waited in hand and the next one.
    const { maxConcurrent: _, ...distance } = settings;
    this.#gaps.update(this.#given === undefined ? distance : settings);
    this.#own?.updateSettings(ownSettings(settings));
  }

  get #limits(): boolean {
    return this.#given !== undefined || this.#settings.maxConcurrent !== undefined || this.#distant;
  }

  /** Starts are some ms apart, so each needs a job of its own. */
  get #distant(): boolean {
    return this.#given !== undefined || (this.#settings.minTime ?? 0) > 0;
  }

  /** Holds a place for whoever is woken; nobody has to come, and others may wait for it in the same Bottleneck. */
  #keep(end: () => void): void {
    this.#inHand.push(end);
    this.#sweep ??= setTimeout(() => {
      this.#sweep = undefined;
      for (const left of this.#inHand.splice(0)) left();
    }, longestHeld).unref();
  }

  /** Makes a Bottleneck of its own, at once where the package is loaded. */
  #make(): boolean {
    if (Loaded !== undefined) this.#own = new Loaded(ownSettings(this.#settings));
    else {
      const again = (): void => {
        if (this.#wanted) this.request();
      };
      load().then(again, this.#failed);
    }
    return this.#own !== undefined;
  }

  #askOne(): void {
    const queue = this.#given ?? (this.#own as Bottleneck);
    this.#requested += 1;
    let open = true;
    const answered = (): void => {
      if (open && queue === (this.#given ?? this.#own)) this.#requested -= 1;
      open = false;
    };
    const job = (): Promise<void> =>
      new Promise((end) => {
        answered();
        if (!this.#wanted) {
          end();
          return;
        }
        this.#keep(end);
        this.#freed();
      });
    const refused = (cause: unknown): void => {
      if (!open) return; // It has begun; that it expires, or is dropped then, is no wait of anybody.
      answered();
      // A Bottleneck of the user that was stopped, or drops jobs: whoever waits for this one hears why.
      if (queue === this.#given && this.#wanted) this.#failed(cause);
    };
    if (this.#given !== undefined) hearDrops(this.#given).set(job, refused);
    queue.schedule(job).catch(refused);
  }
}

/** Loaded when it is first needed: most processes have no limiter of that kind. */
let Loaded: typeof Bottleneck | undefined;

async function load(): Promise<void> {
  Loaded = (await import('bottleneck')).default;
}

function ownSettings(settings: LimiterSettings): Bottleneck.ConstructorOptions {
  return { maxConcurrent: settings.maxConcurrent ?? null, minTime: settings.minTime ?? 0 };
}

type Dropped = (cause: unknown) => void;
const dropped = new WeakMap<Bottleneck, WeakMap<object, Dropped>>();

/**
 * Who hears that a Bottleneck has dropped a job, by the job. With `rejectOnDrop: false` its event alone says so. One
 * listener for each Bottleneck: it has no way to take one away.
 */
function hearDrops(given: Bottleneck): WeakMap<object, Dropped> {
  return getOrInsert(dropped, given, () => {
    const jobs = new WeakMap<object, Dropped>();
    const isSilent = (): boolean => (given as unknown as { rejectOnDrop?: unknown }).rejectOnDrop === false;
    given.on('dropped', (job: unknown) => {
      const { task } = job as { readonly task: object };
      if (isSilent()) jobs.get(task)?.(new Error('The Bottleneck has dropped its job.'));
    });
    return jobs;
  });
}

/** Does something fill the reservoir? In doubt it does: only Bottleneck knows its settings. */
function refills(given: Bottleneck): boolean {
  const store = (given as unknown as { _store?: Store })._store;
  const { storeOptions: known, heartbeat } = store ?? {};
  // It was disconnected.
  if (heartbeat?._destroyed === true) return false;
  const every = (what: string): boolean =>
    known?.[`reservoir${what}Interval`] != null && known[`reservoir${what}Amount`] != null;
  return known === undefined || every('Refresh') || every('Increase');
}
