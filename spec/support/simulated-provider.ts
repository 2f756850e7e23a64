import { Observable } from 'rxjs';
import { seededRandom } from '../../lib/kernel/random.js';
import type { SimulationScheduler } from '../../lib/kernel/simulation-scheduler.js';

/** A provider that does not tell what it can take. Times in virtual ms. */
export interface SimulatedOptions {
  readonly seed: number;
  /** Mean time of a call, and its spread (sigma of a lognormal). */
  readonly latency: number;
  readonly sigma: number;
  /** Calls under way at `now`, more are refused. Default: no such limit. */
  readonly parallel?: (now: number) => number;
  /** Starts in any second, more are refused. Default: no such limit. */
  readonly perSecond?: number;
  /** Says in a refusal when to come back. */
  readonly retryAfter?: boolean;
  /** Calls under way above this make all slower. Default: none. */
  readonly knee?: number;
  /** Share of calls that fail for other reasons. */
  readonly faults?: number;
  /** Status of a refusal. Default 429. */
  readonly status?: number;
}

/** Counts what it answered, by second. */
export class SimulatedProvider {
  active = 0;
  readonly served: number[] = [];
  readonly refused: number[] = [];
  readonly latencies: number[] = [];
  readonly #options: SimulatedOptions;
  readonly #scheduler: SimulationScheduler;
  readonly #random: () => number;
  readonly #starts: number[] = [];

  constructor(options: SimulatedOptions, scheduler: SimulationScheduler) {
    this.#options = options;
    this.#scheduler = scheduler;
    this.#random = seededRandom(options.seed);
  }

  /** One call: emits when answered, errors with a status when refused. */
  call(): Observable<string> {
    return new Observable((subscriber) => {
      const { latency, sigma, knee = Number.POSITIVE_INFINITY, faults = 0 } = this.#options;
      const now = this.#scheduler.now();
      const wait = this.#refusal(now);
      if (wait !== undefined) {
        const { status = 429, retryAfter = false } = this.#options;
        this.refused.push(now);
        const error = Object.assign(new Error('too much'), {
          status,
          ...(retryAfter && { retryAfter: wait / 1000 }),
        });
        return this.#scheduler.schedule(() => subscriber.error(error), 20);
      }
      this.active += 1;
      this.#starts.push(now);
      const spread = Math.exp(sigma * normal(this.#random) - (sigma * sigma) / 2);
      const ms = latency * spread * Math.max(1, this.active / knee);
      const answer = this.#scheduler.schedule(() => {
        answer.unsubscribe();
        this.active -= 1;
        ended = true;
        if (this.#random() < faults) {
          subscriber.error(Object.assign(new Error('bad luck'), { status: 500 }));
          return;
        }
        this.served.push(this.#scheduler.now());
        this.latencies.push(ms);
        subscriber.next('answer');
        subscriber.complete();
      }, ms);
      let ended = false;
      return () => {
        if (!ended) this.active -= 1;
        answer.unsubscribe();
      };
    });
  }

  /** Ms until a refused call would be taken; undefined: it is. */
  #refusal(now: number): number | undefined {
    const { parallel, perSecond = Number.POSITIVE_INFINITY } = this.#options;
    if (parallel !== undefined && this.active >= parallel(now)) return 1_000;
    const oldest = this.#starts[this.#starts.length - perSecond];
    if (oldest !== undefined && now - oldest < 1_000) return 1_000 - (now - oldest);
    return undefined;
  }
}

/** Source: G. Box, M. Muller, "A note on the generation of random normal deviates", 1958. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
