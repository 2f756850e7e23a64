import type { Observable, Subscription } from 'rxjs';
import { Follower } from '../kernel/follower.js';
import type { LoadSample } from '../model/load.js';
import type { MemoryOptions } from '../model/memory.js';
import { LoadLimit } from './load-limit.js';
import { MemoryGate, type MemoryPorts } from './memory-gate.js';
import type { GatedParts, GatePorts } from './ports.js';

/** What the feed is given to work with. */
export interface LoadPorts extends MemoryPorts, Pick<GatePorts, 'scheduler' | 'effectiveLimits' | 'failed'> {
  readonly places: Pick<GatedParts, 'gates'>;
}

/**
 * Makes what `load$` tells the limit of a run, and feeds its watermarks, from its start to its end. When `load$` ends or
 * fails nothing is known any more: limit and watermarks are lifted, for a run held back for ever would help nobody.
 */
export class LoadFeed {
  readonly #load$: Observable<LoadSample> | undefined;
  readonly #ports: LoadPorts;
  readonly #limit: LoadLimit;
  readonly #memory: MemoryGate | undefined;
  #subscription: Subscription | undefined;

  constructor(
    load$: Observable<LoadSample> | undefined,
    memory: MemoryOptions | undefined,
    ports: LoadPorts,
  ) {
    this.#load$ = load$;
    this.#ports = ports;
    const watermarks = memory?.soft !== undefined || memory?.hard !== undefined;
    this.#limit = new LoadLimit({ memory: !watermarks });
    if (!watermarks) return;
    this.#memory = new MemoryGate(memory, ports);
    ports.places.gates.push(this.#memory);
    ports.scheduler.connect(this.#memory);
  }

  begin(): void {
    if (this.#load$ === undefined) return;
    const follower = new Follower(
      {
        next: (sample) => this.#update(sample as LoadSample),
        error: (error: unknown) => {
          this.#ports.failed(error);
          this.#lift();
        },
        complete: () => this.#lift(),
      },
      this.#ports.failed,
    );
    this.#subscription = follower;
    this.#load$.subscribe(follower);
  }

  /** The watermarks of its controller say so, for all runs. */
  memoryShort(isShort: boolean): void {
    this.#ports.short(isShort, 'controller');
  }

  end(): void {
    this.#subscription?.unsubscribe();
  }

  /** Why no more tasks run at once, where load is the reason. */
  reason(): string | undefined {
    const { effectiveLimits } = this.#ports;
    const { limit } = this.#limit;
    return limit < effectiveLimits.others(undefined, 'load') ? this.#limit.reason() : undefined;
  }

  #update(sample: LoadSample): void {
    if (typeof sample !== 'object' || sample === null) return;
    const { scheduler, effectiveLimits } = this.#ports;
    this.#limit.update(sample, { active: scheduler.active, most: effectiveLimits.others(undefined, 'load') });
    effectiveLimits.set(undefined, 'load', this.#limit.limit);
    const { memory } = sample;
    if (typeof memory === 'number' && memory >= 0) this.#memory?.update(memory);
  }

  #lift(): void {
    this.#limit.limit = Number.POSITIVE_INFINITY;
    this.#ports.effectiveLimits.set(undefined, 'load', Number.POSITIVE_INFINITY);
    this.#memory?.update(0);
  }
}
