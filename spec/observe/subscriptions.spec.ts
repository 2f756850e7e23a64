import { readFileSync } from 'node:fs';
import { map, type Observable, take, timer } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { channel, controller, type Run, workflow } from '../../lib/index.js';
import { SimulationScheduler } from '../../lib/testing/index.js';

/** A run of which `words` says a at 10 and b at 30, when it ends; `breaks` fails at 35. */
function world() {
  const scheduler = new SimulationScheduler();
  const hive = controller({ name: 'hive', scheduler });
  const flow = workflow({ name: 'world', controller: hive });
  const news = channel<string>('news');
  const facts = { started: false, stopped: false };
  const words = flow.task('words', {
    run: (_, ctx) => {
      facts.started = true;
      ctx.signal.addEventListener('abort', () => {
        facts.stopped = scheduler.now() < 30;
      });
      return timer(10, 20, scheduler).pipe(
        take(2),
        map((n) => {
          const word = 'ab'[n] as string;
          ctx.send(news, word);
          return word;
        }),
      );
    },
  });
  const breaks = flow.task('breaks', {
    run: () =>
      timer(35, scheduler).pipe(
        map((): string => {
          throw new Error('planned');
        }),
      ),
  });
  const lengths = flow.each('lengths', { from: [10, 20], run: (ms) => timer(ms, scheduler) });
  const run = flow.run({ scheduler }) as Run;
  const streams: Readonly<Record<string, () => Observable<unknown>>> = {
    run: () => run.pipe(map(({ type }) => type)),
    'run.events$': () => run.events$.pipe(map(({ type }) => type)),
    'run.values$(task)': () => run.values$(words),
    'run.result$(task)': () => run.result$(words),
    'run.result$()': () => run.result$().pipe(map(({ status }) => status)),
    'run.snapshot$': () => run.snapshot$.pipe(map(({ tasks }) => tasks.get('words'))),
    'run.questions$': () => run.questions$.pipe(map(({ length }) => length)),
    'run.messages$(channel)': () => run.messages$(news).pipe(map(({ value }) => value)),
    'hive.runs$': () => hive.runs$.pipe(map(({ runId }) => runId === run.runId)),
    'hive.events$': () => hive.events$.pipe(map(({ type }) => type)),
    'run.values$(breaks)': () => run.values$(breaks),
    'run.result$(breaks)': () => run.result$(breaks),
    'run.values$(each)': () => run.values$(lengths).pipe(map(({ taken }) => taken)),
  };
  return { scheduler, hive, run, streams, facts };
}
type World = ReturnType<typeof world>;

/** What somebody sees who subscribes now; events by how many there are. */
function watch({ scheduler, streams }: World, name: string): { said: unknown[]; leave(): void } {
  const said: unknown[] = [];
  const counted = name === 'run' || name.endsWith('events$');
  const subscription = (streams[name] as () => Observable<unknown>)().subscribe({
    next: (value) => (counted ? said.splice(0, 1, 'events') : said.push(value)),
    error: (error: Error) => said.push(`fails at ${scheduler.now()}: ${error.message}`),
    complete: () => said.push(`completes at ${scheduler.now()}`),
  });
  return { said, leave: () => subscription.unsubscribe() };
}

/** Who subscribes at 20, and who when all is over; does it start the run, and cancel it where it leaves alone. */
const rows: Readonly<Record<string, { mid: unknown[]; late: unknown[]; starts: boolean; cancels: boolean }>> =
  {
    run: { mid: ['events', 'completes at 35'], late: ['completes at 35'], starts: true, cancels: true },
    'run.events$': {
      mid: ['events', 'completes at 35'],
      late: ['completes at 35'],
      starts: true,
      cancels: true,
    },
    'run.values$(task)': {
      mid: ['b', 'completes at 30'],
      late: ['b', 'completes at 35'],
      starts: true,
      cancels: true,
    },
    'run.values$(each)': {
      mid: [2, 'completes at 20'],
      late: [2, 'completes at 35'],
      starts: true,
      cancels: true,
    },
    'run.result$(task)': {
      mid: ['b', 'completes at 30'],
      late: ['b', 'completes at 35'],
      starts: true,
      cancels: true,
    },
    'run.result$()': {
      mid: ['partial', 'completes at 35'],
      late: ['partial', 'completes at 35'],
      starts: true,
      cancels: true,
    },
    'run.snapshot$': {
      mid: ['running', 'succeeded', 'completes at 35'],
      late: ['succeeded', 'completes at 35'],
      starts: true,
      cancels: true,
    },
    'run.questions$': {
      mid: [0, 'completes at 35'],
      late: [0, 'completes at 35'],
      starts: true,
      cancels: true,
    },
    'run.messages$(channel)': {
      mid: ['b', 'completes at 35'],
      late: ['completes at 35'],
      starts: true,
      cancels: true,
    },
    'hive.runs$': {
      mid: [true, 'completes at 35'],
      late: ['completes at 35'],
      starts: false,
      cancels: false,
    },
    'hive.events$': {
      mid: ['events', 'completes at 35'],
      late: ['completes at 35'],
      starts: false,
      cancels: false,
    },
  };

for (const [name, row] of Object.entries(rows))
  test(`${name} is as the table of streams says`, async () => {
    const one = world();
    const result = one.run.result();
    let mid: ReturnType<typeof watch> | undefined;
    timer(20, one.scheduler).subscribe(() => {
      mid = watch(one, name);
    });
    one.scheduler.flush();
    await result;
    await one.hive.drain();
    const late = watch(one, name);
    assert.equal(mid?.said, row.mid);
    assert.equal(late.said, row.late);
    const alone = world();
    const { leave } = watch(alone, name);
    let started = false;
    timer(5, alone.scheduler).subscribe(() => {
      started = alone.facts.started;
      leave();
    });
    alone.scheduler.flush();
    assert.equal([started, alone.facts.stopped], [row.starts, row.cancels]);
  });

test('values and result of a task that fails fail with its error, then and later', async () => {
  for (const name of ['run.values$(breaks)', 'run.result$(breaks)']) {
    const one = world();
    const early = watch(one, name);
    one.scheduler.flush();
    assert.equal(early.said, ['fails at 35: planned']);
    assert.equal(watch(one, name).said, ['fails at 35: planned']);
  }
});

test('whoever subscribes directly to a run and leaves last cancels it, though others watch', () => {
  const one = world();
  watch(one, 'run.events$');
  const first = watch(one, 'run');
  const second = watch(one, 'run');
  timer(5, one.scheduler).subscribe(() => first.leave());
  timer(8, one.scheduler).subscribe(() => {
    assert.not(one.facts.stopped);
    second.leave();
    assert.ok(one.facts.stopped);
  });
  one.scheduler.flush();
});

test('what a subscriber throws harms nobody', async () => {
  const one = world();
  const result = one.run.result();
  for (const source of Object.values(one.streams))
    source().subscribe({
      next: () => {
        throw new Error('thrown');
      },
      error: () => undefined,
    });
  one.scheduler.flush();
  const { tasks, report } = await result;
  assert.is(tasks.get('words')?.status, 'succeeded');
  assert.ok(report.subscriberErrors.length > 0);
});

test('the table of the page has a row for each of them', () => {
  const [, section = ''] = readFileSync('docs/guides/events.md', 'utf8').split('## How the streams behave\n');
  const named = [...(section.split('\n## ')[0] ?? '').matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name);
  assert.equal(named, Object.keys(rows));
});

test.run();
