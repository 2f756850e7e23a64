import { defer, from, isObservable, Observable, type ObservableInput, of } from 'rxjs';
import { fnv1a } from '../../kernel/hash.js';
import { seededRandom } from '../../kernel/random.js';
import type { SimulationScheduler } from '../../kernel/simulation-scheduler.js';
import { MarbleError } from './outcome.js';

/** What is done to the end of one attempt. Nothing given: it ends as its body says, when it says so. */
export interface Perturbation {
  /** Ms its end comes later. */
  readonly later?: number;
  /** Its turn among ends of the same ms; lower first, default 0. */
  readonly order?: number;
  /** It fails with an error of code `explored`. */
  readonly fails?: true;
  /** It says a second and a third time how it ended. */
  readonly twice?: true;
  /** It does not hear that it was stopped, and says how it ended all the same. */
  readonly deaf?: true;
}

/**
 * When a process dies: as it writes this record of the log (counted from 1), with or without it. A log that is made
 * shorter counts as one record too: it dies with the short log there, or the long one.
 */
export interface Crash {
  readonly record: number;
  /** The record is lost. */
  readonly lost?: true;
}

/** One way a workflow can go. Attempts are named `TASK#2` (second call of its body), in later lives `TASK#2@3`. */
export interface Schedule {
  /** Seed of the run: jitter and ids. */
  readonly seed: number;
  readonly durability?: 'sync' | 'group';
  /** Ms the store takes to write records; default 0, it answers at once. */
  readonly latency?: number;
  /** Twists by attempt; those that are not named are not twisted. */
  readonly attempts?: Readonly<Record<string, Perturbation>>;
  /** How each life but the last ends. */
  readonly crashes?: readonly Crash[];
}

/** Share of attempts that are made to fail, and how many records a log may have; 0: no process dies. */
export interface PerturbationOdds {
  readonly failures: number;
  readonly records: number;
}

/**
 * How the processes of one way to go die, drawn from a seed: none, or the first one at the record whose `turn` it is, so
 * that all have theirs with and without it, and others anywhere.
 */
export function drawCrashes(seed: number, turn: number, { records }: PerturbationOdds): Crash[] {
  if (records === 0) return [];
  const random = seededRandom(fnv1a(`crashes ${seed}`));
  const list: Crash[] = [];
  while (list.length < 3 && random() < 0.45) {
    const place = list.length === 0 ? turn : Math.floor(random() * records * 2);
    const record = 1 + (Math.floor(place / 2) % records);
    list.push(place % 2 === 0 ? { record } : { record, lost: true });
  }
  return list;
}

/** The twist of one attempt, drawn. */
export function drawPerturbation(
  seed: number,
  attempt: string,
  { failures }: PerturbationOdds,
): Perturbation {
  const random = seededRandom(fnv1a(`${attempt} ${seed}`));
  random();
  const [size, fails] = [random(), random() < failures];
  const later = size < 0.5 ? 0 : size < 0.85 ? Math.floor(random() * 4) : Math.floor(random() * 60);
  const order = Math.floor(random() * 10);
  return {
    ...(later > 0 && { later }),
    ...(order > 0 && { order }),
    ...(fails && { fails }),
    ...(random() < 0.15 && { twice: true }),
    ...(random() < 0.15 && { deaf: true }),
  };
}

interface Ending {
  readonly order: number;
  readonly deliver: () => void;
}

/** Holds the ends of attempts back and lets those of the same ms go in the order their twists say. */
export class Endings {
  readonly #scheduler: SimulationScheduler;
  #waiting: Ending[] = [];

  constructor(scheduler: SimulationScheduler) {
    this.#scheduler = scheduler;
  }

  hold({ later = 0, order = 0 }: Perturbation, deliver: () => void): void {
    if (later > 0) this.#scheduler.schedule(() => this.#wait({ order, deliver }), later);
    else this.#wait({ order, deliver });
  }

  #wait(ending: Ending): void {
    this.#waiting.push(ending);
    if (this.#waiting.length === 1) this.#scheduler.schedule(() => this.#release());
  }

  #release(): void {
    const now = this.#waiting.sort((a, b) => a.order - b.order);
    this.#waiting = [];
    for (const { order, deliver } of now) {
      // Late ones let timers of the same ms go first.
      if (order >= 5) this.#wait({ order: order - 5, deliver });
      else deliver();
    }
  }
}

/**
 * What a body returns, with its end twisted. Somebody reads its values while it runs (`streams`): it stays an
 * Observable, else it may become a promise that misbehaves.
 */
export function perturbed(
  body: () => unknown,
  perturbation: Perturbation,
  endings: Pick<Endings, 'hold'>,
  streams: boolean,
): unknown {
  const source$ = defer(() => asStream(body()));
  const wild = (perturbation.twice === true || perturbation.deaf === true) && !streams;
  return wild ? wildPromise(source$, perturbation, endings) : heldStream(source$, perturbation, endings);
}

function asStream(returned: unknown): ObservableInput<unknown> {
  if (typeof returned !== 'object' || returned === null) return of(returned);
  const { then } = returned as { then?: unknown };
  const stream = isObservable(returned) || Symbol.asyncIterator in returned || typeof then === 'function';
  return stream ? from(returned as ObservableInput<unknown>) : of(returned);
}

function heldStream(
  source$: Observable<unknown>,
  perturbation: Perturbation,
  endings: Pick<Endings, 'hold'>,
): Observable<unknown> {
  return new Observable((subscriber) =>
    source$.subscribe({
      next: (value) => subscriber.next(value),
      error: (error: unknown) => endings.hold(perturbation, () => subscriber.error(error)),
      complete: () =>
        endings.hold(perturbation, () =>
          perturbation.fails === true ? subscriber.error(new MarbleError('explored')) : subscriber.complete(),
        ),
    }),
  );
}

/** Something with `then` that speaks more than once, and cannot be told to be quiet. */
function wildPromise(
  source$: Observable<unknown>,
  perturbation: Perturbation,
  endings: Pick<Endings, 'hold'>,
): PromiseLike<unknown> {
  return {
    // biome-ignore lint/suspicious/noThenProperty: a promise that misbehaves is what is wanted
    then: (ok: (value: unknown) => void, bad: (error: unknown) => void) => {
      let last: unknown;
      const say = (word: () => void): void =>
        endings.hold(perturbation, () => {
          word();
          if (perturbation.twice !== true) return;
          word();
          endings.hold({ later: 1 }, () => bad(new MarbleError('second word')));
        });
      source$.subscribe({
        next: (value) => {
          last = value;
        },
        error: (error: unknown) => say(() => bad(error)),
        complete: () =>
          say(() => (perturbation.fails === true ? bad(new MarbleError('explored')) : ok(last))),
      });
    },
  } as PromiseLike<unknown>;
}
