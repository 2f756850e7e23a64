import { asyncScheduler } from 'rxjs';
import type { SimulationScheduler } from '../kernel/simulation-scheduler.js';

const { setImmediate: realTurn } = globalThis;

/** Runs in virtual time go one after the other: they share the default scheduler of rxjs. */
let line: Promise<unknown> = Promise.resolve();

/**
 * Calls `body` while `timer`, `delay`, `interval` and all others that rxjs gives its default scheduler run on
 * `scheduler` instead.
 */
export function virtually<T>(scheduler: SimulationScheduler, body: () => Promise<T>): Promise<T> {
  const turn = line.then(async () => {
    const own = asyncScheduler as { schedule?: unknown; now?: unknown };
    const { now } = asyncScheduler;
    own.schedule = scheduler.schedule.bind(scheduler);
    own.now = () => scheduler.now();
    try {
      return await body();
    } finally {
      delete own.schedule;
      own.now = now;
    }
  });
  line = turn.catch(() => undefined);
  return turn;
}

/**
 * Lets virtual time pass until `done` says so, nothing is scheduled any more, or `until` is reached, with a turn of
 * the real event loop before each action, so that promises settle at the time at which they were resolved. `rest` is
 * called when nothing more happens at a moment.
 */
export async function drive(
  scheduler: SimulationScheduler,
  done: () => boolean,
  until = Number.POSITIVE_INFINITY,
  rest: () => void = () => undefined,
): Promise<void> {
  for (let idle = 0; idle < 3; ) {
    await new Promise<void>((turn) => realTurn(turn));
    if (done()) return;
    const { nextAt } = scheduler;
    if (nextAt === Number.POSITIVE_INFINITY) {
      // A promise may still be on its way through the event loop.
      idle += 1;
      if (idle === 3) rest();
      if (scheduler.nextAt < Number.POSITIVE_INFINITY) idle = 0;
      continue;
    }
    if (nextAt > scheduler.now()) rest();
    if (nextAt > until) return;
    idle = 0;
    scheduler.step();
  }
}
