import { availableParallelism, cpus, totalmem } from 'node:os';
import { type IntervalHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { Observable, ReplaySubject, share } from 'rxjs';
import { inspect, RxhiveError } from '../kernel/errors.js';
import type { LoadSample } from '../model/load.js';
import { type CgroupFacts, type CgroupPlaces, readCgroup } from './cgroup.js';

/** How the machine is watched. */
export interface SystemLoadOptions {
  /** Ms between two samples, from 10. Default 500. */
  readonly interval?: number;
  /** Folder of the control groups of Linux. Default `/sys/fs/cgroup`, and there the group of this process. */
  readonly cgroup?: string;
}

/** Ms between two looks at how late timers are. */
const resolution = 10;
/** Of timers so many percent are not later than the delay that is told: one long turn is no load. */
const percentile = 90;
const mount = '/sys/fs/cgroup';

/**
 * How busy this process and its machine are: `flow.run({ load$: systemLoad() })`. A sample at once with what is known
 * then, and one per interval with
 * - `eventLoop`: share of the interval in which the event loop was busy,
 * - `delayMs`: what nine of ten timers were late at most,
 * - `memory`: the larger of heap over the heap's limit (`--max-old-space-size`), and resident memory of the process,
 *   without what the heap has free, over the limit of its container, or else the memory of the machine,
 * - `cpu`: CPU time of its control group (version 2 or 1) over what it may use, or over all cores; without control
 *   groups that of the machine.
 *
 * Watches while somebody is subscribed, once for all of them, and keeps no process alive.
 * @throws RxhiveError INVALID_OPTION
 */
export function systemLoad(options: SystemLoadOptions = {}): Observable<LoadSample> {
  const { interval = 500, cgroup } = options;
  if (!(typeof interval === 'number' && interval >= resolution && interval < 2 ** 31))
    throw new RxhiveError('INVALID_OPTION', `interval is ${inspect(interval)}; give ms from ${resolution}.`);
  return new Observable<LoadSample>((subscriber) => {
    const probe = new Probe(cgroup);
    subscriber.next(probe.first());
    const timer = setInterval(() => subscriber.next(probe.sample()), interval).unref();
    return () => {
      clearInterval(timer);
      probe.end();
    };
  }).pipe(share({ connector: () => new ReplaySubject(1) }));
}

/** CPU time used until some moment, ms by a clock, and how much there is per ms. */
interface CpuTime {
  readonly used: number;
  readonly at: number;
  readonly cpus: number;
}

/** Measures from one sample to the next. */
class Probe {
  readonly #places: CgroupPlaces;
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution });
  #loop = performance.eventLoopUtilization();
  #cpu: CpuTime;

  constructor(cgroup: string | undefined) {
    this.#places = cgroup === undefined ? { folder: mount, self: '/proc/self/cgroup' } : { folder: cgroup };
    this.#cpu = cpuTime(readCgroup(this.#places));
    this.#delay.enable();
  }

  first(): LoadSample {
    return { memory: memory(readCgroup(this.#places)) };
  }

  sample(): LoadSample {
    const facts = readCgroup(this.#places);
    const loop = performance.eventLoopUtilization();
    const eventLoop = performance.eventLoopUtilization(loop, this.#loop).utilization;
    this.#loop = loop;
    return { eventLoop, ...this.#late(), memory: memory(facts), ...this.#cpuShare(facts) };
  }

  end(): void {
    this.#delay.disable();
  }

  /** Timers measured are `resolution` apart when nothing is late. Nothing is known where none was due. */
  #late(): Pick<LoadSample, 'delayMs'> {
    const between = this.#delay.count > 0 ? this.#delay.percentile(percentile) / 1e6 : undefined;
    this.#delay.reset();
    return between === undefined ? {} : { delayMs: Math.max(0, between - resolution) };
  }

  #cpuShare(facts: CgroupFacts): Pick<LoadSample, 'cpu'> {
    const before = this.#cpu;
    this.#cpu = cpuTime(facts);
    const { used, at, cpus } = this.#cpu;
    const given = (at - before.at) * cpus;
    return given > 0 ? { cpu: share01((used - before.used) / given) } : {};
  }
}

function memory({ memoryLimit }: CgroupFacts): number {
  const { used_heap_size, total_heap_size, heap_size_limit } = getHeapStatistics();
  // Without a limit the call answers 0 or a number no machine has.
  const constrained = process.constrainedMemory?.() || Number.POSITIVE_INFINITY;
  const limit = Math.min(memoryLimit ?? Number.POSITIVE_INFINITY, constrained, totalmem());
  const resident = process.memoryUsage.rss() - (total_heap_size - used_heap_size);
  return share01(Math.max(used_heap_size / heap_size_limit, resident / limit));
}

function cpuTime({ cpuMs, cpus: allowed }: CgroupFacts): CpuTime {
  if (cpuMs !== undefined)
    return { used: cpuMs, at: performance.now(), cpus: allowed ?? availableParallelism() };
  const times = cpus().map((one) => one.times);
  const at = times.flatMap((time) => Object.values(time)).reduce((all, ms) => all + ms, 0);
  return { used: at - times.reduce((all, { idle }) => all + idle, 0), at, cpus: 1 };
}

function share01(value: number): number {
  return Math.min(1, Math.max(0, value));
}
