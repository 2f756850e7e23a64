import { monitorEventLoopDelay } from 'node:perf_hooks';

/**
 * The 99th percentile of the event loop's delay in ms while `work` goes on, less the period of the measure itself: the
 * least of `times` tries, because what else the machine does can only add to it.
 */
export async function leastOf(times: number, work: () => Promise<void>): Promise<number> {
  const resolution = 10;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < times && least >= 50; i++) {
    const delay = monitorEventLoopDelay({ resolution });
    delay.enable();
    await work();
    delay.disable();
    least = Math.min(least, delay.percentile(99) / 1e6 - resolution);
  }
  return least;
}
