import type { SimulationScheduler } from '../kernel/simulation-scheduler.js';

/**
 * Lets virtual time pass up to `until` (ms, default: until nothing is scheduled), with a turn of the real event loop
 * before each action, so that promises settle at the virtual time at which they were resolved. Bodies may be async:
 *
 * ```ts
 * const scheduler = new SimulationScheduler();
 * const result = flow.run({ scheduler }).result();
 * await advance(scheduler);
 * console.log((await result).report.wallMs);
 * ```
 *
 * A body that waits for something real (a file, a socket) is not seen: time passes without it.
 */
export async function advance(
  scheduler: SimulationScheduler,
  until = Number.POSITIVE_INFINITY,
): Promise<void> {
  await turn();
  while (scheduler.nextAt <= until && scheduler.step()) await turn();
  if (Number.isFinite(until)) scheduler.run(until);
}

/** All promise callbacks that can run have run after this. */
function turn(): Promise<void> {
  return new Promise((done) => setImmediate(done));
}
