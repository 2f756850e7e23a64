import { concatMap, type Observable, Subject, share, tap, timer } from 'rxjs';
import { buffered, eventLines, type WorkflowEvent, workflow } from '../dist/index.js';
import { prometheus } from '../dist/telemetry/prometheus.js';

// What observing costs per task: a flat workflow of empty async tasks, with and without each kind of watching, in turns.
type Watch = (events$: Observable<WorkflowEvent>) => void;

const watches: Readonly<Record<string, Watch>> = {
  nobody: () => undefined,
  'events subscribed': (events$) => events$.subscribe(),
  'events, a slow reader behind buffered()': (events$) =>
    events$.pipe(buffered(() => timer(5), { capacity: 1_000 })).subscribe(),
  'events, metrics': (events$) => events$.pipe(prometheus().measure).subscribe(),
  'events, buffered(), metrics': (events$) => {
    const shared$ = events$.pipe(prometheus().measure, share());
    shared$.pipe(buffered(() => timer(5), { capacity: 1_000 })).subscribe();
  },
  'all of it, and lines of JSON without secrets': (events$) => {
    const shared$ = events$.pipe(prometheus().measure, eventLines(), share());
    shared$.pipe(buffered(() => timer(5), { capacity: 1_000 })).subscribe();
  },
};

async function usPerTask(tasks: number, watch: Watch): Promise<number> {
  const flow = workflow({ name: 'observed', concurrency: 100, groups: { llm: { concurrency: 100 } } });
  for (let i = 0; i < tasks; i++) flow.task(`t${i}`, { group: 'llm', type: 'agent', run: async () => i });
  const run = flow.run({ learn: false });
  globalThis.gc?.();
  const begun = performance.now();
  watch(run.events$);
  await run.result();
  return ((performance.now() - begun) * 1_000) / tasks;
}

const median = (list: number[]): number => list.sort((a, b) => a - b)[list.length >> 1] as number;
let met = true;
for (const watch of Object.values(watches)) await usPerTask(5_000, watch);
for (const tasks of [10_000, 100_000]) {
  const times = new Map<string, number[]>();
  for (let round = 0; round < (tasks > 10_000 ? 3 : 7); round++)
    for (const [name, watch] of Object.entries(watches))
      times.set(name, [...(times.get(name) ?? []), await usPerTask(tasks, watch)]);
  const base = median(times.get('nobody') as number[]);
  console.log(`${tasks} tasks, ${base.toFixed(1)} us each unobserved; observing costs on top, us a task:`);
  for (const [name, list] of times) {
    const more = median(list) - base;
    if (name === 'events, buffered(), metrics') met &&= more <= 10;
    if (name !== 'nobody') console.log(`  ${more.toFixed(1).padStart(6)}  ${name}`);
  }
}
console.log(`${met ? 'met' : 'NOT MET'}: events, buffered() and metrics at most 10 us a task`);

/** Heap after so many events into a subscriber that takes 1 ms for each. */
async function grown(events: number): Promise<number> {
  const events$ = new Subject<object>();
  let dropped = 0;
  const reading = events$
    .pipe(
      buffered((_: object, lost) => timer(1).pipe(tap(() => (dropped += lost))), { capacity: 10_000 }),
      concatMap(() => []),
    )
    .subscribe();
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < events; i++) {
    events$.next({
      seq: i,
      at: i,
      runId: 'r',
      type: 'value',
      reason: 'emitted',
      taskId: `t${i}`,
      value: [i],
    });
    if (i % 1_000 === 0) await new Promise((next) => setImmediate(next));
  }
  globalThis.gc?.();
  const mb = (process.memoryUsage().heapUsed - before) / 2 ** 20;
  console.log(`  ${events} events: ${mb.toFixed(1)} MiB more, ${dropped} told as dropped so far`);
  reading.unsubscribe();
  return mb;
}

console.log('slow subscriber behind buffered(), capacity 10,000:');
const [small, large] = [await grown(50_000), await grown(1_000_000)];
console.log(`${large < small + 5 ? 'met' : 'NOT MET'}: memory flat over 1,000,000 events`);
