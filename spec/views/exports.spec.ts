import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toArray } from 'rxjs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { chromeTrace, graphSvg, inspectTask, markdownReport } from '../../lib/dashboard/index.js';
import { channel, eventLines, human, typed, type WorkflowEvent, workflow } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';
import { fromSources } from '../support/from-sources.js';
import { showcase } from '../support/showcase.js';

const hostile = '<img src=x onerror="boom()">|`*_[a](b)\u202e\u001b[31m\ud800';

async function eventsOf(hostileName?: string): Promise<WorkflowEvent[]> {
  const scheduler = new SimulationScheduler();
  const events: WorkflowEvent[] = [];
  const run = showcase({ scheduler, ...(hostileName !== undefined && { hostile: hostileName }) });
  run.events$.subscribe((event) => events.push(event));
  await advance(scheduler);
  return events;
}

interface Entry {
  readonly ph: string;
  readonly name: string;
  readonly ts: number;
  readonly pid: number;
  readonly tid: number;
  readonly dur?: number;
  readonly id?: string | number;
  readonly args?: { readonly task?: string; readonly end?: string; readonly [name: string]: unknown };
}

const trace = suite('trace');
const read = (text: string): Entry[] => (JSON.parse(text) as { traceEvents: Entry[] }).traceEvents;

trace(
  'slices of a row do not overlap, every attempt is one, arrows begin and end within slices',
  async () => {
    const events = await eventsOf();
    const entries = read(chromeTrace(events));
    const slices = entries.filter(({ ph }) => ph === 'X');
    const started = events.filter((one) => one.type === 'attempt' && one.reason === 'started').length;
    assert.is(slices.length, started);
    assert.ok(slices.filter(({ args }) => args?.end === 'failed').length >= 9);
    for (const { name, args } of slices)
      assert.is(
        args?.error !== undefined,
        args?.end === 'failed',
        `${name}: the error is of the attempt that failed`,
      );
    const rows = new Map<number, Entry[]>();
    for (const one of slices) rows.set(one.tid, [...(rows.get(one.tid) ?? []), one]);
    assert.is(rows.size, 24, 'a row per slot');
    for (const row of rows.values()) {
      row.sort((a, b) => a.ts - b.ts);
      row.forEach((one, i) => {
        const before = row[i - 1];
        assert.ok(
          before === undefined || before.ts + (before.dur ?? 0) <= one.ts,
          `${before?.name} ${one.name}`,
        );
      });
    }
    const within = ({ tid, ts }: Entry): Entry | undefined =>
      rows.get(tid)?.find((one) => one.ts <= ts && ts < one.ts + (one.dur ?? 0));
    const tails = new Map(entries.filter(({ ph }) => ph === 's').map((one) => [one.id, one]));
    const heads = entries.filter(({ ph }) => ph === 'f');
    assert.ok(heads.length > 700, String(heads.length));
    for (const head of heads) {
      const tail = tails.get(head.id) as Entry;
      assert.ok(within(tail) !== undefined && within(head) !== undefined, 'an arrow between slices');
      assert.ok(tail.ts <= head.ts, 'forward in time');
    }
    const arrow = heads.find((head) => within(head)?.name === 'note_7') as Entry;
    assert.is(within(tails.get(arrow.id) as Entry)?.name, 'fetch_7');
  },
);

trace('waits are slices of their own, by cause; counters show the groups', async () => {
  const entries = read(chromeTrace(await eventsOf()));
  const open = new Map<unknown, Entry>();
  const waits = new Map<string, number>();
  for (const one of entries) {
    if (one.ph === 'b') open.set(one.id, one);
    if (one.ph !== 'e') continue;
    const begun = open.get(one.id) as Entry;
    open.delete(one.id);
    assert.is(begun.name, one.name);
    waits.set(one.name, (waits.get(one.name) ?? 0) + one.ts - begun.ts);
  }
  assert.is(open.size, 0, 'each wait ends');
  assert.ok((waits.get('waits for a slot') ?? 0) > 0);
  assert.ok((waits.get('backs off') ?? 0) > 0);
  const most = (name: string): number =>
    Math.max(
      ...entries
        .filter((one) => one.ph === 'C' && one.name === name)
        .map((one) => Number(one.args?.['in use'])),
    );
  assert.is(most('group web'), 10);
  assert.is(most('all tasks'), 24);
});
trace('it keeps to the format: known phases, named rows, pairs that close, times in order', async () => {
  const entries = read(chromeTrace(await eventsOf()));
  const rows = new Set<string>();
  const processes = new Set<number>();
  for (const { ph, name, pid, tid, args } of entries) {
    if (ph === 'M' && name === 'thread_name') rows.add(`${pid} ${tid}`);
    if (ph === 'M' && name === 'process_name') processes.add(pid);
    if (ph === 'M' && name.endsWith('_name')) assert.type(args?.name, 'string');
  }
  let now = 0;
  let events = false;
  const open = new Map<string, Entry>();
  for (const one of entries) {
    const { ph, name, ts, pid, tid, dur, id } = one;
    assert.ok('MXbesfCi'.includes(ph) && ph.length === 1, ph);
    assert.type(name, 'string');
    assert.ok(processes.has(pid), `a process ${pid}`);
    if (ph === 'M') {
      assert.not.ok(events, 'names come first');
      continue;
    }
    events = true;
    assert.ok(Number.isSafeInteger(ts) && ts >= now, `${name} at ${ts} after ${now}`);
    now = ts;
    if (ph === 'C') {
      for (const value of Object.values(one.args ?? {})) assert.ok(Number.isFinite(value), name);
      continue;
    }
    assert.ok(rows.has(`${pid} ${tid}`), `a row ${pid} ${tid} for ${name}`);
    if (ph === 'X') assert.ok(Number.isSafeInteger(dur) && (dur as number) > 0, name);
    const key = `${(one as { cat?: string }).cat} ${id} ${name}`;
    if (ph === 'b' || ph === 's') {
      assert.not.ok(open.has(key), `${key} begins twice`);
      open.set(key, one);
    } else if (ph === 'e' || ph === 'f') {
      const begun = open.get(key);
      assert.ok(begun !== undefined && begun.ts <= ts, `${key} ends where it has not begun`);
      open.delete(key);
    }
  }
  assert.equal([...open.keys()], [], 'left open');
});

trace.run();

const markdown = suite('markdown');
markdown('root causes come first, then where time, tokens and money went', async () => {
  const text = markdownReport(await eventsOf());
  assert.match(text, /^# showcase: partial\n/);
  assert.match(
    text,
    /\n- \*\*fetch_13\*\* failed after 3 attempts: Error: page 13 is gone\n {2}- It stopped 1: note_13\.\n- \*\*broken\*\* failed/,
  );
  assert.ok(text.indexOf('## What went wrong') < text.indexOf('## Where the time'));
  assert.match(text, /Critical path: plan \(.*→ .*write/);
  assert.match(text, /\| web \| 10 \| 10 \| 6 \|/);
  assert.match(text, /\| reader \| 240 \| 239 \|/);
});

markdown('what tasks say is no markup, and a secret does not leave', async () => {
  const text = markdownReport(await eventsOf(hostile));
  for (const bad of ['\n<img', ' <img', '\u202e', '\u001b']) assert.not.ok(text.includes(bad), bad);
  assert.match(text, /\\<img src=x onerror="boom\(\)"\\>\\\|/);
  const flow = workflow({ name: 'secret' });
  flow.task('a', {
    run: () => {
      throw new Error('no access with sk-abcdefghijklmnopqrstuvwxyz');
    },
  });
  const events: WorkflowEvent[] = [];
  const run = flow.run();
  run.events$.subscribe((event) => events.push(event));
  await run.result();
  for (const out of [markdownReport(events), chromeTrace(events), JSON.stringify(inspectTask(events, 'a'))])
    assert.ok(out.includes('redacted') && !out.includes('sk-abc'), out);
});

markdown('a question that waits is there', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'asks' });
  flow.task('publish', { run: (_, ctx) => ctx.ask(human(typed<boolean>(), 'Publish the draft?')) });
  const events: WorkflowEvent[] = [];
  const run = flow.run({ scheduler });
  const seen = run.events$.subscribe((event) => events.push(event));
  await advance(scheduler, 10);
  assert.match(markdownReport(events), /## What waits for people\n\n- publish?\?1: Publish the draft?/);
  await run.answer('publish?1', true);
  await advance(scheduler, 10);
  assert.not.match(markdownReport(events), /waits for people/);
  seen.unsubscribe();
});
markdown.run();

const svg = suite('svg');
svg('a workflow is drawn before it runs, and a run as it went; names are text', async () => {
  const flow = workflow({ name: hostile });
  const a = flow.task(hostile, { run: () => 1 });
  flow.task('b & c', { dependencies: [a], run: () => 2 });
  const picture = await graphSvg(flow);
  assert.is([...picture.matchAll(/<rect /g)].length, 2);
  assert.is([...picture.matchAll(/class="edge/g)].length, 1);
  for (const bad of ['<img', '\u202e', '\u001b', '\ud800']) assert.not.ok(picture.includes(bad), bad);
  assert.match(picture, /b &amp; c/);
  const run = await graphSvg(await eventsOf());
  assert.match(run, /class="box failed[^>]*><title>broken: failed/);
  assert.match(run, /class="box succeeded strong"[^>]*><title>plan in llm: succeeded/);
  assert.match(run, /fetch × 240|fetch # × 240|fetch_/);
  assert.match(run, /class="edge soft/);
});
svg('without @dagrejs/dagre a picture says what to install', () => {
  const hook = `export const resolve = (name, context, next) => {
    if (name === '@dagrejs/dagre') throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' });
    return next(name, context);
  };`;
  const data = (code: string): string => `data:text/javascript,${encodeURIComponent(code)}`;
  const without = data(`import { register } from 'node:module'; register(${JSON.stringify(data(hook))});`);
  const graph = ['lib/cli/main.ts', 'graph', 'examples/16-graph.ts', '--format'];
  const draw = (format: string): ReturnType<typeof spawnSync> =>
    spawnSync(process.execPath, [...fromSources, '--import', without, ...graph, format], {
      encoding: 'utf8',
    });
  const refused = draw('svg');
  assert.ok(refused.status !== 0, String(refused.stdout));
  assert.match(String(refused.stderr), /graphSvg\(\) needs @dagrejs\/dagre: run npm install @dagrejs\/dagre/);
  assert.is(draw('mermaid').status, 0, 'other formats need nothing');
});

svg.run();

const inspected = suite('inspect');
inspected('one task: inputs, every attempt, waits, usage, messages, state before and after', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'inspected', state: { count: 1, other: 'kept' } });
  const first = flow.task('first', {
    run: (_, ctx) => {
      ctx.update((s) => {
        s.count = 2;
      });
      return { word: 'bee' };
    },
  });
  flow.task('second', {
    dependencies: { first },
    group: undefined as never,
    retry: { count: 1, backoff: { initial: 100, jitter: 'none' } },
    run: async ({ first }, ctx) => {
      await ctx.sleep(10);
      ctx.usage({ inputTokens: 5, outputTokens: 7, cost: 0.5 });
      ctx.log('tried', { attempt: ctx.attempt });
      if (ctx.attempt === 1) throw new Error('not yet');
      ctx.update((s) => {
        s.count += 40;
      });
      return first.word.length;
    },
  });
  const events: WorkflowEvent[] = [];
  flow.run({ scheduler }).events$.subscribe((event) => events.push(event));
  await advance(scheduler);
  const found = inspectTask(events, 'second');
  assert.equal(found?.inputs, [{ id: 'first', mode: 'value', status: 'succeeded', value: { word: 'bee' } }]);
  assert.equal(
    found?.attempts.map(({ attempt, startedAt, endedAt, end }) => [attempt, startedAt, endedAt, end]),
    [
      [1, 0, 10, 'failed'],
      [2, 110, 120, 'succeeded'],
    ],
  );
  assert.match(JSON.stringify(found?.attempts[0]?.error), /not yet/);
  assert.ok(found?.spans.some(({ kind, from, to }) => kind === 'backoff' && from === 10 && to === 110));
  assert.equal(found?.usage, { inputTokens: 10, outputTokens: 14, cost: 1 });
  assert.is(found?.messages.length, 2);
  assert.equal(
    found?.commits.map(({ before, after }) => [before, after]),
    [
      [
        { count: 2, other: 'kept' },
        { count: 42, other: 'kept' },
      ],
    ],
  );
  assert.is(found?.value, 3);
  assert.is(inspectTask(events, 'nobody'), undefined);
});

inspected('what a task says and hears is among its messages', async () => {
  const scheduler = new SimulationScheduler();
  const words = channel<string>('words');
  const flow = workflow({ name: 'talks' });
  flow.task('a', {
    run: async (_, ctx) => {
      await ctx.send(words, 'hello');
      await ctx.ask('b', 'and you?');
    },
  });
  flow.task('b', {
    run: async (_, ctx) => {
      await ctx.receive(words);
      for await (const request of ctx.requests$({ from: 'a' })) await request.reply('fine');
    },
  });
  const events: WorkflowEvent[] = [];
  flow.run({ scheduler }).events$.subscribe((event) => events.push(event));
  await advance(scheduler);
  const told = (id: string) => inspectTask(events, id)?.messages.map(({ message, data }) => [message, data]);
  assert.equal(told('a'), [
    ['says on words', 'hello'],
    ['asks b', 'and you?'],
  ]);
  assert.equal(told('b'), [
    ['hears words/a/1', undefined],
    ['hears @b/a/1', undefined],
    ['answers @b/a/1', 'fine'],
  ]);
});

inspected('the command writes each file and tells of a task', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
  const log = join(folder, 'run.jsonl');
  const scheduler = new SimulationScheduler();
  const lines: string[] = [];
  showcase({ scheduler })
    .events$.pipe(eventLines(), toArray())
    .subscribe((all) => lines.push(...all));
  await advance(scheduler);
  writeFileSync(log, `${lines.join('\n')}\n`);
  const call = (...words: string[]): string =>
    execFileSync(process.execPath, [...fromSources, 'lib/cli/main.ts', ...words], {
      encoding: 'utf8',
      maxBuffer: 1e9,
    });
  const [traceFile, markdownFile] = [join(folder, 'run.json'), join(folder, 'run.md')];
  call('report', log, '--trace', traceFile, '--markdown', markdownFile);
  assert.ok(read(readFileSync(traceFile, 'utf8')).length > 2_000);
  assert.match(readFileSync(markdownFile, 'utf8'), /page 13 is gone/);
  assert.match(call('graph', log, '--format', 'svg'), /^<svg /);
  const told = call('inspect', log, '--task', 'fetch_45');
  assert.match(told, /Attempts\n {2}1 failed, .*too many requests\n {2}2 succeeded/);
  assert.match(told, /State, commit \d+ at .*\n {2}done: \d+ -> \d+/);
  const all = JSON.parse(call('inspect', log, '--json')) as { tasks: unknown[]; status: string };
  assert.is(all.status, 'partial');
  assert.is(all.tasks.length, 499);
  const wrong = spawnSync(
    process.execPath,
    [...fromSources, 'lib/cli/main.ts', 'inspect', log, '--task', 'fetch_4512'],
    { encoding: 'utf8' },
  );
  assert.is(wrong.status, 2);
  assert.match(wrong.stderr, /there is no task fetch_4512.*there is fetch_4/);
});
inspected('attempts beside one another are told apart, and how long a provider asked to wait', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'hedged', concurrency: 4 });
  let calls = 0;
  flow.task('hedged', {
    hedge: { after: 20 },
    run: async (_, ctx) => {
      calls += 1;
      await ctx.sleep(calls === 1 ? 500 : 30);
    },
  });
  flow.task('refused', {
    retry: { count: 1, backoff: () => 0 },
    run: (_, ctx) => {
      if (ctx.attempt === 1)
        throw Object.assign(new Error('later'), { status: 429, headers: { 'retry-after': '2' } });
    },
  });
  const events: WorkflowEvent[] = [];
  flow.run({ scheduler }).events$.subscribe((event) => events.push(event));
  await advance(scheduler);
  const hedged = inspectTask(events, 'hedged')?.attempts;
  assert.equal(
    // The number succeeded, too, by the one beside it.
    hedged?.map(({ startedAt, endedAt, end, hedge }) => [startedAt, endedAt, end, hedge ?? false]).sort(),
    [
      [0, 50, 'succeeded', false],
      [20, 50, 'succeeded', true],
    ],
  );
  assert.equal(
    inspectTask(events, 'refused')?.attempts.map(({ end, retryAfter }) => [end, retryAfter]),
    [
      ['failed', 2_000],
      ['succeeded', undefined],
    ],
  );
});

inspected.run();
