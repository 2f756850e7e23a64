import { monitorEventLoopDelay } from 'node:perf_hooks';

const resolution = 10;

/**
 * By how many ms `work` raises the 99th percentile of the event loop's delay over that of an idle process just before:
 * the least of `times` tries, because what else the machine does can only add to it.
 */
export async function leastOf(times: number, work: () => Promise<void>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < times && least >= 50; i++) {
    const idle = await p99(() => new Promise((done) => setTimeout(done, 400)));
    least = Math.min(least, (await p99(work)) - Math.max(0, idle));
  }
  return least;
}

/** The 99th percentile in ms, less the period of the measure itself. */
async function p99(work: () => Promise<void>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution });
  delay.enable();
  await work();
  delay.disable();
  return delay.percentile(99) / 1e6 - resolution;
}
