import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { concatMap, Subject, tap, timer } from 'rxjs';
import { buffered } from '../dist/index.js';
import { least, names } from './observe-layers.js';

// What observing costs per task: a flat workflow of empty async tasks, watched in each way and in all at once. Each way runs in
// processes of its own, in turns; the least of all rounds counts. `--quick`: 10,000 tasks and one round.
const [cell, count] = process.argv.slice(2);
const goal = 10;

function measure(name: string, tasks: number): { cpu: number; wall: number } {
  // One thread for collecting garbage: several would be waiting for each other on a busy machine, and be counted.
  const flags = ['--single-threaded-gc', '--expose-gc', '--import', 'tsx'];
  const child = spawnSync(process.execPath, [...flags, fileURLToPath(import.meta.url), name, String(tasks)], {
    encoding: 'utf8',
  });
  if (child.status !== 0) throw new Error(child.stderr);
  return JSON.parse(child.stdout);
}

function compare(tasks: number, rounds: number): void {
  const best = new Map<string, { cpu: number; wall: number }>();
  for (let round = 0; round < rounds; round++)
    for (const name of names) {
      const { cpu, wall } = measure(name, tasks);
      const known = best.get(name) ?? { cpu, wall };
      best.set(name, { cpu: Math.min(known.cpu, cpu), wall: Math.min(known.wall, wall) });
    }
  const base = best.get('nobody') ?? { cpu: 0, wall: 0 };
  console.log(
    `${tasks} tasks, unobserved ${base.cpu.toFixed(1)} us of processor time each (${base.wall.toFixed(1)} wall); on top:`,
  );
  for (const [name, { cpu, wall }] of best) {
    if (name === 'nobody') continue;
    const more = cpu - base.cpu;
    const verdict = !name.startsWith('all') ? '' : more <= goal ? 'met' : 'NOT MET';
    const texts = [more, wall - base.wall].map((us) => us.toFixed(1).padStart(7));
    console.log(`${texts.join('')}  ${name.padEnd(34)}${verdict}`);
  }
}

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

async function all(quick: boolean): Promise<void> {
  console.log(`Goal: all of it at most ${goal} us a task. Columns: processor, wall.`);
  compare(10_000, quick ? 1 : 3);
  if (!quick) compare(100_000, 2);
  console.log('slow subscriber behind buffered(), capacity 10,000:');
  const [small, large] = [await grown(50_000), await grown(1_000_000)];
  console.log(`${large < small + 5 ? 'met' : 'NOT MET'}: memory flat over 1,000,000 events`);
}

if (count === undefined) await all(cell === '--quick');
else {
  console.log(JSON.stringify(await least(cell ?? '', Number(count))));
  setTimeout(() => process.exit(0), 200);
}
