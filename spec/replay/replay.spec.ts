import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as main from '../../lib/index.js';
import { seededRandom } from '../../lib/kernel/random.js';
import * as testing from '../../lib/testing/index.js';
import { fromSources } from '../support/from-sources.js';

const { optional, orElse, settled, workflow } = main;
const { fakeAgent, lognormal, record, replay, SimulationScheduler, simulate, timelineOf, toMarbles } =
  testing;

/** A workflow made from a seed: groups, resources, priorities, failures, retries, timeouts, modes, added tasks. */
function random(seed: number): main.Workflow {
  const next = seededRandom(seed);
  const upTo = (n: number): number => Math.floor(next() * (n + 1));
  const flow = workflow({
    name: `random ${seed}`,
    concurrency: 1 + upTo(4),
    groups: { a: { concurrency: 1 }, b: { concurrency: 2 } },
    resources: { gpu: 2 },
    ...(next() < 0.2 && { failurePolicy: 'fail-fast' as const }),
  });
  const body = () =>
    fakeAgent({
      duration: lognormal(1_000),
      failure: 0.25,
      error:
        next() < 0.3 ? Object.assign(new Error('429'), { status: 429, retryAfter: 1 + upTo(5) }) : 'HTTP_500',
    });
  const options = () => ({
    ...(next() < 0.6 && { group: next() < 0.5 ? ('a' as const) : ('b' as const) }),
    ...(next() < 0.3 && { priority: upTo(4) - 2 }),
    ...(next() < 0.2 && { resources: { gpu: 1 + upTo(1) } }),
    ...(next() < 0.6 && { retry: upTo(3) }),
    ...(next() < 0.3 && {
      timeout: {
        attempt: 1_500,
        ...(next() < 0.5 && { total: 2_500 }),
        ...(next() < 0.3 && { queue: 3_000 }),
      },
    }),
  });
  const tasks: main.Task<string>[] = [];
  for (let i = 0; i < 3 + upTo(12); i++) {
    const chosen = new Set(Array.from({ length: upTo(3) }, () => tasks[upTo(tasks.length - 1)]));
    const dependencies = [...chosen].flatMap((task) => {
      if (task === undefined) return [];
      return [[task, task, task, optional(task), settled(task), orElse(task, 'x')][upTo(5)] as typeof task];
    });
    const task = flow.task(`t${i}`, { ...options(), dependencies, run: body() });
    tasks.push(task);
    if (next() < 0.2)
      flow.onTaskComplete(task, (_, add) => {
        for (let k = 0; k < 2; k++)
          add(`t${i}.${k}`, { dependencies: [task], group: 'b', run: fakeAgent({ duration: 500 + 77 * k }) });
      });
  }
  return flow as unknown as main.Workflow;
}

/** Every change of status, to the thousandth of a ms. */
const picture = (events: readonly main.WorkflowEvent[]): string =>
  timelineOf([], events)
    .map(
      ({ taskId, changes }) =>
        `${taskId} ${changes.map(({ at, status }) => `${at.toFixed(3)} ${status}`).join(', ')}`,
    )
    .join('\n');

/** Runs the text of a test without loading a file for each. */
async function runText(text: string): Promise<void> {
  const code = text.replaceAll(/^import .*$/gm, '').replace('test.run();', '');
  const names = { ...main, ...testing };
  let pending: Promise<void> | undefined;
  const run = new Function('test', ...Object.keys(names), code) as (...args: unknown[]) => void;
  run(
    (_: string, body: () => Promise<void>) => {
      pending = body();
    },
    ...Object.values(names),
  );
  assert.ok(pending !== undefined);
  await pending;
}

test('200 random workflows: recorded, replayed and turned to marbles, the same timeline', async () => {
  let attempts = 0;
  let added = 0;
  for (let seed = 1; seed <= 200; seed++) {
    const { events, log, result } = await simulate(random(seed), { seed });
    const again = await replay(log);
    assert.is(picture(again.events), picture(events), `seed ${seed}`);
    assert.ok(Math.abs(again.replayed.wallMs - result.report.wallMs) < 0.001);
    try {
      await runText(toMarbles(log));
    } catch (error) {
      assert.unreachable(`seed ${seed}: ${(error as Error).message}`);
    }
    attempts += events.filter((event) => event.type === 'attempt' && event.reason === 'started').length;
    added += events.filter((event) => event.type === 'plan' && event.reason === 'added').length;
  }
  assert.ok(attempts > 1_000 && added > 100, `${attempts} attempts, ${added} additions`);
});

test('a run of a process that loses time between tasks becomes a test that passes', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const roll = seededRandom(seed);
    let lost = 0;
    const events = (await simulate(random(seed), { seed })).events.map((event) => {
      lost += roll();
      return { ...event, at: event.at + lost };
    });
    const text = toMarbles(events);
    assert.match(text, /^\/\/ Recorded: .* lost between tasks: /m, `seed ${seed}`);
    await runText(text);
  }
});

test('a recording has neither inputs nor results, and a test made of it can fail', async () => {
  const flow = workflow({ name: 'private', input: main.typed<{ name: string }>() });
  const a = flow.task('a', {
    run: async (_, ctx) => {
      await ctx.sleep(5);
      return `secret of ${ctx.input.name}`;
    },
  });
  flow.task('b', { dependencies: [a], run: async (_, ctx) => ctx.sleep(7) });
  const { log } = await simulate(flow, { input: { name: 'ann' } });
  const text = toMarbles(log);
  assert.not.match(text, /secret|ann/);
  await runText(text);
  let failed = '';
  await runText(text.replace('7ms (v|)', '8ms (v|)')).catch((error: Error) => {
    failed = error.message;
  });
  assert.match(failed, /task "b" differs[\s\S]*timeline differs/);
});

test('what-if: another limit, another priority', async () => {
  const flow = workflow({ name: 'what-if', concurrency: 8, groups: { llm: { concurrency: 2 } } });
  for (let i = 0; i < 8; i++) flow.task(`t${i}`, { group: 'llm', run: async (_, ctx) => ctx.sleep(1_000) });
  flow.task('urgent', { group: 'llm', run: async (_, ctx) => ctx.sleep(500) });
  const { log } = await simulate(flow);
  const wide = await replay(log, { limits: { llm: 4 } });
  assert.is(wide.recorded.wallMs, 4_500);
  assert.is(wide.replayed.wallMs, 2_500);
  assert.is(wide.summary, 'limit 4 of llm instead of 2: 44 % sooner: 2500 ms instead of 4500 ms.');
  const first = await replay(log, { priorities: { urgent: 9 } });
  assert.is(first.result.tasks.get('urgent')?.attempts[0]?.startedAt, 0);
  assert.is((await replay(log, { concurrency: 1 })).replayed.wallMs, 8_500);
  for (const changes of [{ limits: { nobody: 1 } }, { priorities: { nobody: 1 } }])
    assert.match(
      await replay(log, changes).then(
        () => '',
        (error: Error) => error.message,
      ),
      /nobody/,
    );
  assert.match(
    await replay('').then(
      () => '',
      (error: Error) => error.message,
    ),
    /does not begin/,
  );
});

test('joins, limits changed while it ran, tasks from outside and cancels are replayed', async () => {
  const flow = workflow({ name: 'outside', concurrency: 2 });
  flow.task('parent', {
    run: async (_, ctx) => {
      await ctx.sleep(10);
      const children = [1, 2, 3].map((n) => ctx.spawn(`child${n}`, { run: (__, own) => own.sleep(20 * n) }));
      await ctx.join(children);
      await ctx.sleep(5);
    },
  });
  flow.task('long', { run: (_, ctx) => ctx.sleep(200) });
  flow.task('dropped', { run: (_, ctx) => ctx.sleep(500) });
  const scheduler = new SimulationScheduler();
  const run = flow.run({ scheduler, keepOpen: true });
  const recorded = record(run);
  scheduler.schedule(() => run.setConcurrency(3), 15);
  scheduler.schedule(() => {
    run.task('late', { run: (_, ctx) => ctx.sleep(30) });
    run.close();
  }, 60);
  scheduler.schedule(() => run.cancelTask('dropped'), 120);
  await testing.advance(scheduler);
  const events = await recorded;
  const again = await replay(events);
  assert.is(picture(again.events), picture(events));
  assert.match(toMarbles(events), /Not shown in marbles, only by replay\(\): 'parent', 'dropped', 'late'/);
});

test('the command replays a log', () => {
  const [module, log, marbleTest] = [
    'spec/.pages-replay.ts',
    'spec/.pages-replay.log',
    'spec/.pages-marbles.txt',
  ];
  writeFileSync(
    module,
    "import { timer } from 'rxjs';\nimport { workflow } from '../lib/index.js';\nconst flow = workflow({ name: 'w', groups: { llm: { concurrency: 1 } } });\nfor (const id of ['a', 'b', 'c']) flow.task(id, { group: 'llm', run: () => timer(30) });\nexport default flow;\n",
  );
  const rxhive = (...words: string[]): string =>
    execFileSync(process.execPath, [...fromSources, 'lib/cli/main.ts', ...words], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
  try {
    rxhive('run', module, '--log', log);
    const told = JSON.parse(rxhive('replay', log, '--set', 'llm.concurrency=3', '--json'));
    assert.ok(told.saved > 0.3 && told.saved < 1, told.summary);
    assert.match(rxhive('replay', log), /^as recorded: .*\d+ ms.*\.\n$/);
    rxhive('report', log, '--marbles', marbleTest);
    assert.is(readFileSync(marbleTest, 'utf8'), toMarbles(readFileSync(log, 'utf8')));
    for (const wrong of [['replay'], ['replay', log, '--set', 'llm=3'], ['replay', 'nowhere']])
      try {
        rxhive(...wrong);
        assert.unreachable();
      } catch (error) {
        assert.is((error as { status: number }).status, 2);
      }
  } finally {
    for (const file of [module, log, marbleTest]) rmSync(file, { force: true });
  }
});

test.run();
