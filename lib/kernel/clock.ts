import { asyncScheduler, type SchedulerLike, type Subscription } from 'rxjs';
import { type AsyncContext, callerContext } from './async-context.js';
import type { HeapItem } from './heap.js';
import { type Random, seededRandom } from './random.js';
import { RowHeap } from './row-heap.js';

/** A pending call of a {@link Clock}; hand it back to `cancel`. */
export interface Timer extends HeapItem {
  readonly due: number;
  readonly order: number;
  readonly work: () => void;
}

/** Where a {@link Clock} takes its time and its chance from. */
export interface ClockOptions {
  /** Source of time and timers. Default: rxjs `asyncScheduler`, which `TestScheduler.run` makes virtual. */
  readonly scheduler?: SchedulerLike;
  /** Seed of every random number (jitter, ids). Default: a new one each time. */
  readonly seed?: number;
  /** Do its timers keep the process, where the platform can tell? Default true. */
  readonly keepsProcess?: boolean;
}

/** Ms of computing after which the event loop is given back. */
const slice = 8;
/** At most so many breaths without giving it back: virtual time stands still while somebody computes. */
const mostBreaths = 1_000;
/** Time of the world, in ms since 1970, is later than this; virtual time, which begins at 0, is not. */
const leastReal = 1e11;

/** Ms since 1970 at the start of the process: asked for once, for it is a part of each reading. */
const { timeOrigin } = performance;
/** The newest reading of the clock that nobody sets, and how much has to be added to it to go on from there. */
let latest = Number.NEGATIVE_INFINITY;
let behind = 0;
/** The time of day at that reading: within the same ms there is no need for another one. */
let latestWall = Number.NEGATIVE_INFINITY;

/** Timers of the platform overflow above this many ms and fire at once. The clock cuts longer waits in pieces. */
export const longestTimer = 2_147_483_647;

/**
 * The only place the core gets time and chance from. Any number of timers share one scheduled action, the
 * one for the earliest, so arming and disarming a timeout for each attempt costs a heap entry and no timer
 * of the platform.
 */
export class Clock {
  readonly random: Random;
  readonly seed: number;
  readonly #scheduler: SchedulerLike;
  readonly #keepsProcess: boolean;
  readonly #timers = new RowHeap<Timer>((a, b) => a.due < b.due || (a.due === b.due && a.order < b.order));
  #action: Subscription | undefined;
  #actionDue = Number.POSITIVE_INFINITY;
  /** A timer that has fired shows that it is this late, whatever clocks say. */
  #least = Number.NEGATIVE_INFINITY;
  #order = 0;
  #breaths = 0;
  /** Where work of this clock runs: with whoever started the run. */
  context: AsyncContext = callerContext();
  /** When it was made, as it counts. */
  readonly origin: number;

  constructor(options: ClockOptions = {}) {
    this.#scheduler = options.scheduler ?? asyncScheduler;
    this.#keepsProcess = options.keepsProcess ?? true;
    this.origin = this.now();
    this.seed = options.seed ?? Math.floor(Math.random() * 4_294_967_296);
    this.random = seededRandom(this.seed);
  }

  /**
   * Now, in ms, for whatever is waited for: it only goes forward, also when somebody sets the clock of the machine. In
   * virtual time, as the scheduler counts it.
   */
  now(): number {
    const now = this.#scheduler.now();
    // Inside `TestScheduler.run` the default scheduler is virtual too.
    if (this.#scheduler !== asyncScheduler || now <= leastReal) return now;
    if (now !== latestWall) {
      latestWall = now;
      const passed = timeOrigin + performance.now() + behind;
      // Only a test that puts its own clock in place of the platform's takes time back.
      if (passed < latest) behind += latest - passed;
      else latest = passed;
    }
    return Math.max(this.#least, Math.floor(latest));
  }

  /** Ms since it was made: each run has a clock of its own, so this is the time of the run. */
  elapsed(): number {
    return this.now() - this.origin;
  }

  /** The time of day, in ms, for stamps that others read: it may be set forward and back. */
  wall(): number {
    return this.#scheduler.now();
  }

  /** Is it the time of the world? Not so for a virtual scheduler, nor for the default one in `TestScheduler.run`. */
  get real(): boolean {
    return Math.abs(this.#scheduler.now() - Date.now()) < 1_000;
  }

  /** Stands for this time: clocks with the same source can share what is bound to a time. */
  get source(): object {
    return this.#scheduler === asyncScheduler && !this.real ? this : this.#scheduler;
  }

  /**
   * 32 hexadecimal digits that nobody can guess: the seed is told in reports, so they do not come from it, but in virtual time.
   */
  secret(): string {
    const bytes = new Uint8Array(16);
    if (this.real) crypto.getRandomValues(bytes);
    else bytes.set(bytes.map(() => Math.floor(this.random() * 256)));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  /** Calls `work` once, `delay` ms from now, at a whole ms: sums and borders of fractions would not be exact. */
  after(delay: number, work: () => void): Timer {
    const timer: Timer = {
      due: Math.ceil(this.now() + Math.max(0, delay)),
      order: this.#order++,
      work,
      heapIndex: -1,
    };
    this.#timers.push(timer);
    if (timer.due < this.#actionDue) this.#arm(timer.due);
    return timer;
  }

  /** Forgets a timer; one that already fired is left alone. */
  cancel(timer: Timer | undefined): void {
    if (timer !== undefined) this.#timers.remove(timer);
  }

  /**
   * For long computations: undefined while they may go on, else `work` is called in a turn of its own, in virtual time at
   * the same ms. Cheap, to be called often. Returns how to forget `work`.
   */
  breathe(work: () => void): (() => void) | undefined {
    this.#breaths += 1;
    if (!this.#isReal) {
      if (this.#breaths < mostBreaths) return undefined;
      this.#breaths = 0;
      const timer = this.after(0, work);
      return () => this.cancel(timer);
    }
    if (this.#breaths < mostBreaths && !eventLoop.used) return undefined;
    this.#breaths = 0;
    return eventLoop.next(work);
  }

  /**
   * Have those who ask this had the event loop for a slice, in real time? Then what is left is for `nextTurn`. Cheap, to
   * be asked at every step.
   */
  get overdue(): boolean {
    return eventLoop.overdue && this.#isReal;
  }

  /** Calls `work` in a turn of the event loop of its own, in real time; returns how to forget it. */
  nextTurn(work: () => void): () => void {
    return eventLoop.next(() => this.context.runInAsyncScope(work));
  }

  /** Inside `TestScheduler.run` the default scheduler is virtual too. */
  get #isReal(): boolean {
    return this.#scheduler === asyncScheduler && this.#scheduler.now() > leastReal;
  }

  /** Forgets all timers and frees the scheduled action. */
  dispose(): void {
    while (this.#timers.pop() !== undefined);
    this.#action?.unsubscribe();
    this.#action = undefined;
    this.#actionDue = Number.POSITIVE_INFINITY;
  }

  #arm(due: number): void {
    this.#action?.unsubscribe();
    this.#actionDue = due;
    const now = this.now();
    const delay = Math.max(0, Math.min(due - now, longestTimer));
    this.#action = this.#scheduler.schedule(
      () => this.context.runInAsyncScope(() => this.#fire(now + delay)),
      delay,
    );
    // rxjs keeps the timer of the platform there.
    if (!this.#keepsProcess) (this.#action as { id?: { unref?(): void } }).id?.unref?.();
  }

  #fire(planned: number): void {
    this.#least = Math.max(this.#least, planned);
    this.#action?.unsubscribe();
    this.#action = undefined;
    this.#actionDue = Number.POSITIVE_INFINITY;
    const now = this.now();
    for (let next = this.#timers.peek(); next !== undefined && next.due <= now; next = this.#timers.peek()) {
      this.#timers.remove(next);
      next.work();
    }
    const next = this.#timers.peek();
    // A timer's work may have armed an earlier action already.
    if (next !== undefined && next.due < this.#actionDue) this.#arm(next.due);
  }
}

/**
 * Shares the event loop among all who compute in this process: a turn is one slice for one of them, in order of
 * arrival, so that sockets and timers wait for one slice however many there are.
 */
class EventLoop {
  readonly #waiting = new Set<() => void>();
  #armed = false;
  /** When the present slice began. */
  #since = Number.NEGATIVE_INFINITY;
  /** When somebody first asked in this turn whether it is overdue; undefined: nobody did. */
  #asked: number | undefined;

  /** Has whoever runs in the slice it was given used it up? */
  get used(): boolean {
    return performance.now() - this.#since >= slice;
  }

  /** Is it a slice ago that somebody first asked this in this turn? Also true of turns nobody was given. */
  get overdue(): boolean {
    const now = performance.now();
    if (this.#asked !== undefined) return now - this.#asked >= slice;
    this.#asked = now;
    turn(() => {
      this.#asked = undefined;
    });
    return false;
  }

  /** Calls `work` in a turn of its own; returns how to forget it. */
  next(work: () => void): () => void {
    this.#waiting.add(work);
    if (!this.#armed) this.#arm();
    return () => this.#waiting.delete(work);
  }

  #arm(): void {
    this.#armed = true;
    turn(() => {
      this.#armed = false;
      this.#since = performance.now();
      for (const work of this.#waiting) {
        this.#waiting.delete(work);
        if (this.#waiting.size > 0) this.#arm();
        work();
        return;
      }
    });
  }
}

const immediate = globalThis.setImmediate as typeof setImmediate | undefined;

/**
 * A macrotask: as soon as what is due has had its turn; a timer of 0 ms would wait a ms or more. That of the platform: a
 * test that puts its own timers in place of the global ones must not stop those who compute.
 */
const turn: (work: () => void) => void =
  immediate === undefined ? (work) => void setTimeout(work, 0) : (work) => void immediate(work);

const eventLoop = new EventLoop();
