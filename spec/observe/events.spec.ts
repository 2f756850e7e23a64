import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { asyncScheduler, firstValueFrom, type SchedulerLike, toArray } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readEventLog } from '../../lib/entry/events.js';
import {
  adaptive,
  eventLines,
  latest,
  optional,
  RxhiveError,
  type WorkflowEvent,
  workflow,
} from '../../lib/index.js';
import { eventWriter } from '../../lib/observe/event-log.js';
import { prometheus } from '../../lib/telemetry/prometheus.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';
import { RunView } from '../../lib/views/run-view.js';
import { fromSources } from '../support/from-sources.js';

const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

function eventsOf(flow: ReturnType<typeof workflow>): Promise<WorkflowEvent[]> {
  return firstValueFrom(flow.run({ runId: 'r' }).events$.pipe(toArray()));
}

test('the events alone tell the graph, tasks that come later, values and results', async () => {
  const flow = workflow({ name: 'told', concurrency: 3, groups: { llm: { concurrency: 1 }, free: {} } });
  const a = flow.task('a', {
    type: 'writer',
    group: 'llm',
    priority: 2,
    run: async function* () {
      yield 'one';
      yield 'two';
    },
  });
  flow.task('b', { dependencies: { a: latest(a), c: optional(a) }, run: (inputs$) => inputs$ });
  flow.task('parent', {
    run: (_, ctx) => {
      ctx.spawn('child', { dependencies: { a }, run: () => 'c' });
      return 1;
    },
  });
  const events = await eventsOf(flow as never);
  assert.equal(
    events.map(({ seq }) => seq),
    events.map((_, i) => i + 1),
  );
  const [started, plan] = events;
  assert.is(started?.type === 'run' && started.workflow, 'told');
  assert.is(started?.type === 'run' && started.version, 1);
  assert.ok(plan?.type === 'plan');
  assert.equal(
    [plan.concurrency, plan.groups],
    [
      3,
      [
        { name: 'llm', concurrency: 1 },
        { name: 'free', concurrency: null },
      ],
    ],
  );
  assert.equal(plan.tasks.slice(0, 2), [
    { id: 'a', type: 'writer', group: 'llm', priority: 2, dependencies: [] },
    {
      id: 'b',
      dependencies: [
        { id: 'a', mode: 'latest' },
        { id: 'a', mode: 'optional' },
      ],
    },
  ]);
  const added = events.find((event) => event.type === 'plan' && event.reason === 'added');
  assert.ok(added?.type === 'plan');
  assert.equal(
    [added.parent, added.tasks],
    ['parent', [{ id: 'child', dependencies: [{ id: 'a', mode: 'value' }] }]],
  );
  const values = events.flatMap((event) =>
    event.type === 'value' && event.taskId === 'a' ? [event.value] : [],
  );
  assert.equal(values, ['one', 'two']);
  const ended = events.find(
    (event) => event.type === 'task' && event.taskId === 'child' && event.reason === 'succeeded',
  );
  assert.is(ended?.type === 'task' && ended.value, 'c');
});

test('a log hides secrets by name and by look, survives anything, and is read back', async () => {
  const flow = workflow({ name: 'secrets' });
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const key = ['sk', 'abcdefghijklmnopqrstuvwx'].join('-');
  flow.task('leak', {
    run: (_, ctx) => {
      ctx.log(`calling with ${key} and Bearer abcdefghijklmnop`, { apiKey: 'hunter2', inputTokens: 5 });
      ctx.log('postgres://me:hunter2@localhost/db');
      return {
        headers: { Authorization: 'hunter2', accept: 'x' },
        list: [circle, 1n, new Map([['k', Number.NaN]])],
      };
    },
  });
  flow.task('dead', {
    run: () => {
      throw Object.assign(new Error(`bad ${key}`), {
        password: 'hunter2',
        status: 401,
        cause: new Error('why'),
      });
    },
  });
  flow.task('odd', {
    run: () => ({
      get trap(): never {
        throw new Error('no');
      },
      long: 'x'.repeat(50_000),
    }),
  });
  const lines = await firstValueFrom(flow.run({ runId: 'r' }).events$.pipe(eventLines(), toArray()));
  const text = lines.join('\n');
  assert.not.match(text, 'hunter2');
  assert.not.match(text, key);
  assert.not.match(text, 'abcdefghijklmnop"');
  assert.match(text, '"inputTokens":5');
  assert.match(text, '"accept":"x"');
  assert.match(text, '"status":401');
  assert.match(text, '50000 characters');
  const read = readEventLog(`${text}\n{"torn`);
  assert.is(read.length, lines.length);
  assert.equal(read.map(({ type, reason }) => `${type} ${reason}`).slice(0, 2), [
    'run started',
    'plan initial',
  ]);
  for (const wrong of ['nothing', '{"a":1}\n{"b":2}', `${lines[0]}\n{"torn\n${lines[1]}`])
    assert.throws(
      () => readEventLog(wrong),
      (error: unknown) => error instanceof RxhiveError && error.code === 'INVALID_INPUT',
    );
  const own = await firstValueFrom(
    flow
      .run({ runId: 'r' })
      .events$.pipe(
        eventLines({ redact: { keys: ['accept'], patterns: [/why/] }, longestText: 10 }),
        toArray(),
      ),
  );
  assert.not.match(own.join('\n'), '"accept":"x"');
  assert.not.match(own.join('\n'), 'why');
  const open = await firstValueFrom(
    flow.run({ runId: 'r' }).events$.pipe(eventLines({ redact: false }), toArray()),
  );
  assert.match(open.join('\n'), 'hunter2');
});

test('a line is what JSON would make of the event, whatever is in it', () => {
  const write = eventWriter({ redact: false });
  const told = (value: unknown): WorkflowEvent =>
    ({ seq: 1, at: 2, runId: 'r', type: 'value', reason: 'emitted', taskId: 't', value }) as WorkflowEvent;
  const same = (value: unknown): void =>
    assert.equal(JSON.parse(write(told(value))), JSON.parse(JSON.stringify(told(value))));
  fc.assert(fc.property(fc.jsonValue({ maxDepth: 8 }), same), { seed: 7 });
  const odd = JSON.parse('{"__proto__":{"a":1},"1":2,"":3,"seq":[],"type":"x"}') as object;
  for (const value of [odd, [undefined, -0, 1e21, '\ud800'], { a: undefined, b: [{}, []] }, {}]) same(value);
  // Another run, other words, other order: nothing is taken from the line before.
  const other = { reason: 'r"', taskId: 'u', type: 't"', runId: 's"', at: 3.5, seq: 9 } as never;
  assert.equal(JSON.parse(write(other)), other);
  for (const runId of ['r', 's']) assert.is(JSON.parse(write({ ...told(1), runId })).runId, runId);
  assert.is(JSON.parse(write(told(new Date(0)))).value, '1970-01-01T00:00:00.000Z');
  assert.equal(JSON.parse(write(told(new Map([['k', new Set([1n])]])))).value, {
    map: [['k', { set: ['1'] }]],
  });
});

test('each kind of secret is hidden wherever it stands', () => {
  const part = 'abcdefghijklmnopqrstuvwxyz0123456789';
  const secrets = [
    `sk-${part}`,
    `ghp_${part}`,
    `github_pat_${part}`,
    `xoxb-${part}`,
    `AKIA${part.slice(0, 16).toUpperCase()}`,
    `AIza${part.slice(0, 35)}`,
    `eyJ${part}.${part}.${part}`,
    `bearer ${part}`,
    `Basic ${part}`,
    `-----BEGIN RSA PRIVATE KEY-----\n${part}`,
    `https://me:${part}@example.org`,
  ];
  const write = eventWriter();
  const at = [
    (text: string): unknown => text,
    (text: string): unknown => [[{ a: `x ${text} y` }]],
    (text: string): unknown => ({ [text]: 1 }),
    (text: string): unknown => new Map([[text, new Error(text, { cause: text })]]),
    (text: string): unknown => 'x '.repeat(2_500) + text,
  ];
  for (const secret of secrets)
    for (const place of at) {
      const value = place(secret);
      const line = write({
        seq: 1,
        at: 0,
        runId: secret,
        type: 'log',
        reason: 'message',
        taskId: secret,
        message: secret,
        data: value,
      });
      assert.not.match(line, part.slice(0, 10), line);
      assert.not.match(line, 'ABCDEFGHIJ', line);
    }
  for (const name of ['apiKey', 'db_password', 'X-Api-Key', 'sessionToken', 'cookie'])
    assert.match(
      write({
        seq: 1,
        at: 0,
        runId: 'r',
        type: 'value',
        reason: 'emitted',
        taskId: 't',
        value: { [name]: ['open'] },
      }),
      '[redacted]',
    );
});

test('how permits, budgets and adaptive limits are used is told, of runs that have them', async () => {
  const flow = workflow({
    name: 'used',
    concurrency: 1,
    groups: {
      llm: {
        concurrency: adaptive({ initial: 2, max: 8 }),
        budget: { calls: 100 },
        limiter: { requestsPerMinute: 60 },
      },
      plain: { concurrency: 3 },
    },
  });
  for (let i = 0; i < 10; i++) flow.task(`t${i}`, { group: 'llm', run: (_, ctx) => ctx.sleep(200) });
  const scheduler = new SimulationScheduler();
  const events: WorkflowEvent[] = [];
  const prom = prometheus({ process: false });
  flow
    .run({ scheduler })
    .events$.pipe(prom.measure)
    .subscribe((event) => events.push(event));
  await advance(scheduler);
  const told = events.flatMap((event) => (event.type === 'limits' ? [event] : []));
  assert.equal(
    told.map(({ at }) => at),
    [200, 800, 1_400, 2_000],
  );
  assert.equal(
    told.map(({ groups }) => groups.map(({ group, budgets }) => [group, budgets?.[0]?.spent])),
    [[['llm', 1]], [['llm', 4]], [['llm', 7]], [['llm', 10]]],
  );
  const last = told.at(-1)?.groups[0];
  assert.ok((last?.target ?? 0) >= 2);
  assert.is(last?.limiters[0]?.windows[0]?.used, 10);
  const view = new RunView();
  const write = eventWriter();
  for (const event of events) view.apply(JSON.parse(write(event)) as WorkflowEvent);
  assert.is(view.limits.get('llm')?.budgets?.[0]?.spent, 10);
  const text = await prom.text();
  assert.match(text, 'rxhive_budget_spent{workflow="used",group="llm",cap="calls"} 10\n');
  assert.match(text, 'rxhive_budget_limit{workflow="used",group="llm",cap="calls"} 100\n');
  assert.match(text, 'rxhive_permits_used{workflow="used",group="llm",window="requestsPerMinute"} 10\n');
  assert.match(text, /rxhive_adaptive_target\{workflow="used",group="llm"\} \d/);
  const plain = workflow({ name: 'plain', groups: { one: { concurrency: 2 } } });
  plain.task('a', { group: 'one', run: () => 1 });
  assert.not.ok((await eventsOf(plain as never)).some(({ type }) => type === 'limits'));
});

test('all who listen share one event', async () => {
  const flow = workflow({ name: 'shared' });
  flow.task('a', { run: async () => 1 });
  const run = flow.run();
  const first: WorkflowEvent[] = [];
  const second: WorkflowEvent[] = [];
  run.events$.subscribe((event) => first.push(event)); // starts it
  run.events$.subscribe((event) => second.push(event));
  await run.result();
  assert.ok(second.length > 2);
  for (const [i, event] of second.entries()) assert.is(event, first.at(i - second.length));
});

test('a process that exits within a turn has written what it said before', () => {
  const module = join(folder, 'exits.mts');
  writeFileSync(
    module,
    `import { workflow } from '${join(process.cwd(), 'lib/index.ts')}';
     const flow = workflow({ name: 'exits' });
     flow.task('last', { run: () => process.exit(3) });
     export default flow;`,
  );
  const file = join(folder, 'exits.jsonl');
  const args = [...fromSources, 'lib/cli/main.ts', 'run', module, '--log', file, '--quiet'];
  assert.is(spawnSync(process.execPath, args).status, 3);
  const last = readEventLog(readFileSync(file, 'utf8')).at(-1);
  assert.equal([last?.type, last?.reason], ['attempt', 'started']);
});

test('rxhive run --log keeps a log', () => {
  const file = join(folder, 'run.jsonl');
  const args = [...fromSources, 'lib/cli/main.ts', 'run', 'examples/16-graph.ts', '--log', file];
  execFileSync(process.execPath, args, { encoding: 'utf8' });
  const events = readEventLog(readFileSync(file, 'utf8'));
  assert.is(events[0]?.type, 'run');
  const last = events.at(-1);
  assert.is(last?.type === 'run' && last.status, 'succeeded');
});

test('an event and the report tell the same time of a change', async () => {
  let now = 1_000;
  // Each reading is a ms later than the one before.
  const scheduler = {
    now: () => now++,
    schedule: asyncScheduler.schedule.bind(asyncScheduler),
  } as unknown as SchedulerLike;
  const flow = workflow({ name: 'readings' });
  const first = flow.task('first', { run: async () => 1 });
  flow.task('second', { dependencies: { first }, run: async () => 2 });
  const run = flow.run({ scheduler });
  const seen = new Map<string, number>();
  run.events$.subscribe((event) => {
    if (event.type === 'task') seen.set(`${event.taskId} ${event.reason}`, event.at);
  });
  const { tasks } = await run.result();
  for (const [id, { attempts }] of tasks) {
    assert.is(seen.get(`${id} running`), attempts[0]?.startedAt);
    assert.is(seen.get(`${id} succeeded`), attempts[0]?.endedAt);
  }
});

test.run();
