import { SimulationScheduler } from '../../kernel/simulation-scheduler.js';
import type { Limiter } from '../../model/limiter.js';
import type { WorkflowResult } from '../../model/result.js';
import type { Run } from '../../run.js';
import { workflow } from '../../workflow.js';
import { advance } from '../advance.js';

/** A task of a check. */
export interface Job {
  readonly id: string;
  /** Ms it runs. */
  readonly ms: number;
  readonly priority?: number;
  readonly tokens?: number;
  readonly group?: 'a' | 'b';
  /** Ms after which it becomes ready. */
  readonly after?: number;
}

interface Start {
  readonly id: string;
  readonly at: number;
  end: number;
}

const watchEvery = 10;

/** Runs jobs under a limiter and notes when they started and ended. */
export class LimiterRig {
  readonly starts: Start[] = [];
  readonly #limiter: Limiter;
  readonly #scheduler: SimulationScheduler | undefined;
  #began = 0;
  /** Ms that are forgiven. */
  slack = 0;

  constructor(limiter: Limiter, real: boolean, slack: number) {
    this.#limiter = limiter;
    this.#scheduler = real ? undefined : new SimulationScheduler();
    if (real) this.slack = slack;
  }

  /** `soon`: called once the first task has started; `later`: 200 ms after the start. */
  async run(
    jobs: readonly Job[],
    soon?: (run: Run) => void,
    later?: (limiter: Limiter) => void,
  ): Promise<void> {
    const groups = { a: { limiter: this.#limiter }, b: { limiter: this.#limiter }, free: {} };
    const flow = workflow({ name: 'conformance', concurrency: Number.POSITIVE_INFINITY, groups });
    for (const job of jobs) {
      const { id, after = 0, group = 'a', priority = 0, tokens = 1 } = job;
      const timer =
        after === 0 ? [] : [flow.task(`${id} arrives`, { group: 'free', run: (_, ctx) => ctx.sleep(after) })];
      flow.task(id, {
        group,
        priority,
        tokens,
        dependencies: timer,
        run: async (_, ctx) => {
          const start = this.#start(id);
          await ctx.sleep(job.ms);
          start.end = this.#now();
          const { children = 0 } = job as { children?: number };
          const spawned = Array.from({ length: children }, (_, i) =>
            ctx.spawn(`${id}.${i}`, {
              group,
              run: async (_, child) => {
                const own = this.#start(`${id}.${i}`);
                await child.sleep(job.ms);
                own.end = this.#now();
              },
            }),
          );
          if (spawned.length > 0) await ctx.join(spawned);
        },
      });
    }
    if (later !== undefined)
      flow.task('later', {
        group: 'free',
        run: async (_, ctx) => {
          await ctx.sleep(200);
          later(this.#limiter);
        },
      });
    const run = flow.run(this.#scheduler === undefined ? {} : { scheduler: this.#scheduler });
    this.#began = this.#now();
    if (soon !== undefined) {
      run.events$.subscribe((event) => {
        if (event.type === 'attempt' && event.reason === 'started') soon(run as unknown as Run);
      });
    }
    const result = run.result() as Promise<WorkflowResult>;
    const watch = this.#scheduler === undefined ? this.#watchTimers() : undefined;
    if (this.#scheduler !== undefined) await advance(this.#scheduler);
    const { tasks } = await result;
    clearInterval(watch);
    for (const [id, task] of tasks)
      must(
        task.status === 'succeeded' || task.status === 'cancelled',
        `"${id}" has ${task.status}: ${task.error}`,
      );
    this.starts.sort((x, y) => x.at - y.at);
  }

  /** Most running at once. */
  most(): number {
    return Math.max(
      ...this.starts.map(({ at }) => this.starts.filter((one) => one.at <= at && one.end > at).length),
    );
  }

  /** Smallest distance of two starts with `over - 1` between them, in ms. */
  gap(over = 1): number {
    return Math.min(...this.starts.slice(over).map(({ at }, i) => at - (this.starts[i] as Start).at));
  }

  /** Most starts, or most of what `amount` gives, within any `ms`. */
  inWindow(ms: number, amount: (id: string) => number = () => 1): number {
    let most = 0;
    for (const { at } of this.starts) {
      const within = this.starts.filter((one) => one.at > at - ms && one.at <= at);
      most = Math.max(
        most,
        within.reduce((sum, one) => sum + amount(one.id), 0),
      );
    }
    return most;
  }

  lastStart(): number {
    return Math.max(...this.starts.map(({ at }) => at));
  }

  wall(): number {
    return Math.max(...this.starts.map(({ end }) => end));
  }

  /** Adds up by how much the timers of this machine are late. */
  #watchTimers(): ReturnType<typeof setInterval> {
    let before = performance.now();
    return setInterval(() => {
      const now = performance.now();
      this.slack += Math.max(0, now - before - watchEvery);
      before = now;
    }, watchEvery);
  }

  #start(id: string): Start {
    const start = { id, at: this.#now(), end: Number.POSITIVE_INFINITY };
    this.starts.push(start);
    return start;
  }

  #now(): number {
    return (this.#scheduler?.now() ?? performance.now()) - this.#began;
  }
}

/** @throws Error with `message` where it does not hold */
export function must(holds: boolean, message: string): void {
  if (!holds) throw new Error(message);
}
