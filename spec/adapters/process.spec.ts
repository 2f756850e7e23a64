import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Observable } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ProcessError, ProcessOptions } from '../../lib/adapters/process/process.js';
import { fromProcess, inheritedNames } from '../../lib/adapters/process/process.js';
import {
  type AgentError,
  AgentTask,
  type RetryOptions,
  type RxhiveError,
  type TaskContext,
  WorkflowOrchestrator,
  workflow,
} from '../../lib/index.js';
import { agentConformance, testModel, testTool } from '../../lib/testing/conformance/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

const soon: RetryOptions = { count: 1, backoff: { initial: 1, jitter: 'none' } };

/** Runs `code` of Node as one task, with all that it says. */
async function one<T>(run: (ctx: TaskContext) => Observable<T>, retry?: RetryOptions) {
  const flow = workflow({ name: 'one', prices: { m: { input: 1, output: 1 } } });
  const task = flow.task('a', { ...(retry && { retry }), run: (_, ctx) => run(ctx) });
  const going = flow.run();
  const values: T[] = [];
  const logs: unknown[] = [];
  going.values$(task).subscribe((value) => values.push(value));
  going.events$.subscribe((event) => event.type === 'log' && logs.push([event.message, event.data]));
  const result = await going.result();
  return {
    ...result,
    values,
    logs,
    report: result.report,
    value: result.results.get(task),
    one: result.tasks.get('a'),
  };
}
const node = (code: string, options: ProcessOptions = {}) =>
  fromProcess<unknown, unknown>(process.execPath, ['-e', code], options);
const failure = async (code: string, options?: ProcessOptions): Promise<AgentError> =>
  (await one((ctx) => node(code, options)('x', ctx))).one?.error as AgentError;

/** Waits for something that another process does. */
async function until(holds: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not within 20 s: ${what}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

/** A dead process that nobody has waited for is dead. */
function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  if (process.platform !== 'linux') return true;
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Starts a child that ignores SIGTERM, and says both numbers; `then` is what it does after that. */
const withChild = (then: string): string => `
  const stubborn = "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)";
  const child = require('child_process').spawn(process.execPath, ['-e', stubborn], { stdio: ['ignore', 'pipe', 'ignore'] });
  child.stdout.once('data', () => { console.log(JSON.stringify([process.pid, child.pid])); ${then} });`;

test('lines are values, usage, logs and the result; the input is a line', async () => {
  const said = await one((ctx) =>
    node(`
      const input = JSON.parse(require('fs').readFileSync(0, 'utf8'));
      const say = (line) => console.log(JSON.stringify(line));
      say({ asked: input.topic }); say(2); say(''); console.log('');
      say({ usage: { inputTokens: 10, outputTokens: 3, model: 'm' } });
      say({ log: 'thinking', data: [1] });
      say({ value: { value: 'nested' } });
      say({ result: 'r', usage: { outputTokens: 4, model: 'm' } });
      say('after');
    `)({ topic: 'bees' }, ctx),
  );
  assert.equal(said.values, [{ asked: 'bees' }, 2, '', { value: 'nested' }, 'after', 'r']);
  assert.is(said.value, 'r');
  assert.equal(said.logs, [['thinking', [1]]]);
  const { inputTokens, outputTokens, unpricedTokens } = said.report.usage;
  assert.equal([inputTokens, outputTokens, unpricedTokens], [10, 7, 0]);
});

test('without a result line the last value is the result, complete line or not, in any bytes', async () => {
  const said = await one((ctx) =>
    node(`
      const bytes = Buffer.from('"b\\u00fcne \\u{1f41d}"\\r\\n{"a":1,"result":2}\\n["last"]');
      (async () => { for (const byte of bytes) { process.stdout.write(Buffer.from([byte])); await null; } })();
    `)(undefined, ctx),
  );
  assert.equal(said.values, ['büne 🐝', { a: 1, result: 2 }, ['last']]);
  assert.equal(said.value, ['last']);
  const silent = await one((ctx) => node('')(undefined, ctx));
  assert.is(silent.status, 'succeeded');
  assert.is(silent.value, undefined);
});

test('an agent of an orchestrator gets its task as it is', async () => {
  const echo = fromProcess(process.execPath, [
    '-e',
    "const { id, agentType, data, inputs } = JSON.parse(require('fs').readFileSync(0)); console.log(JSON.stringify([id, agentType, data, inputs]))",
  ]);
  const orchestrator = new WorkflowOrchestrator({ agents: { echo } });
  orchestrator.addTask(new AgentTask({ id: 'first', agentType: 'echo', data: { n: 1 } }));
  orchestrator.addTask(new AgentTask({ id: 'second', agentType: 'echo', data: 2, dependencies: ['first'] }));
  const { results } = await orchestrator.executeWorkflow();
  assert.equal(results.get('second'), ['second', 'echo', 2, { first: ['first', 'echo', { n: 1 }, {}] }]);
});

test('text, lines of another format, arguments and folder by input', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
  const code = "console.log(process.argv[1]); console.log(process.cwd()); process.stdout.write('end')";
  const text = fromProcess<string>(process.execPath, (input) => ['-e', code, input], {
    output: 'text',
    stdin: () => '',
    cwd: () => folder,
  });
  const said = await one<string>((ctx) => text('first', ctx));
  assert.equal(said.values.length, 3);
  assert.is(said.values[0], 'first');
  assert.match(said.value ?? '', /^first\n.*rxhive-.*\nend$/);
  const counted = await one((ctx) =>
    node("console.log('noise'); console.log('got 4'); console.log('got 5')", {
      output: (line) => (line.startsWith('got ') ? { value: Number(line.slice(4)) } : undefined),
    })('x', ctx),
  );
  assert.equal(counted.values, [4, 5]);
});

test('it gets the variables that are named, and no others', async () => {
  process.env.RXHIVE_SPEC_SECRET = 'secret';
  process.env.RXHIVE_SPEC_KEY = 'key';
  const code = 'console.log(JSON.stringify(process.env))';
  const read = async (options: ProcessOptions) =>
    (await one((ctx) => node(code, options)('x', ctx))).value as Record<string, string>;
  const plain = await read({});
  for (const name of Object.keys(plain))
    assert.ok([...inheritedNames, 'RXHIVE_ATTEMPT', 'RXHIVE_IDEMPOTENCY_KEY'].includes(name), name);
  assert.is(plain.PATH, process.env.PATH);
  assert.is(plain.RXHIVE_ATTEMPT, '1');
  const named = await read({ inherit: ['RXHIVE_SPEC_KEY'], env: { LEVEL: '3' } });
  assert.is(named.RXHIVE_SPEC_KEY, 'key');
  assert.is(named.LEVEL, '3');
  assert.is(named.PATH, undefined);
  assert.is(named.RXHIVE_SPEC_SECRET, undefined);
});

test('the trace goes along in its environment', async () => {
  const flow = workflow({
    name: 'traced',
    middleware: [
      {
        attempt: ({ ctx }, next) => {
          ctx.carrier.traceparent = '00-1-2-01';
          return next();
        },
      },
    ],
  });
  const task = flow.task('a', {
    run: (_, ctx) => node('console.log(JSON.stringify(process.env.TRACEPARENT))')('x', ctx),
  });
  assert.is((await flow.run().result()).results.get(task), '00-1-2-01');
});

test('a cancelled command ends with its children, also those that ignore SIGTERM', async () => {
  const flow = workflow({ name: 'cancel' });
  const run = node(withChild('setInterval(() => {}, 1000)'), { grace: 200 });
  const task = flow.task('a', { run: (_, ctx) => run('x', ctx) });
  const going = flow.run();
  let pids: number[] = [];
  going.values$(task).subscribe((value) => {
    pids = value as number[];
    assert.ok(pids.length === 2 && pids.every(alive), pids.join());
    going.cancelTask('a');
  });
  const { tasks } = await going.result();
  assert.is(tasks.get('a')?.status, 'cancelled');
  await until(() => !pids.some(alive), 'both are gone');
});

test('so does one that takes too long', async () => {
  const scheduler = new SimulationScheduler();
  const slow = node(withChild("process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)"), { grace: 50 });
  const flow = workflow({ name: 'slow' });
  const task = flow.task('a', { timeout: 60_000, run: (_, ctx) => slow('x', ctx) });
  const going = flow.run({ scheduler });
  let pids: number[] = [];
  going.values$(task).subscribe((value) => {
    pids = value as number[];
    advance(scheduler);
  });
  const { tasks } = await going.result();
  assert.is((tasks.get('a')?.error as RxhiveError | undefined)?.code, 'TASK_TIMEOUT');
  assert.is(pids.length, 2);
  await until(() => !pids.some(alive), 'both are gone');
});

test('what a command leaves behind when it exits is ended', async () => {
  const left = await one((ctx) => node(withChild('process.exit(0)'), { grace: 50 })('x', ctx));
  assert.is(left.status, 'succeeded');
  const [, orphan = 0] = left.value as number[];
  await until(() => !alive(orphan), 'the child that was left behind is gone');
  // This one holds its output open, and would for the next minute.
  const polite =
    "require('child_process').spawn('sleep', ['600'], { stdio: 'inherit' }).unref(); console.log(1)";
  let value: unknown;
  one((ctx) => node(polite, { grace: 60_000 })('x', ctx)).then((said) => {
    value = said.value;
  });
  await until(() => value === 1, 'the end of a command whose child is there');
});

test('one that has said its result and does not exit is ended', async () => {
  const code = 'console.log(JSON.stringify({ result: process.pid })); setInterval(() => {}, 1000)';
  const said = await one((ctx) => node(code, { grace: 50 })('x', ctx));
  assert.is(said.status, 'succeeded');
  assert.not(alive(said.value as number));
});

test('ends are told by code, signal and stderr, and tried again where that can help', async () => {
  const crash = await failure(
    "require('fs').writeSync(2, 'x'.repeat(9000)); throw new RangeError('no honey')",
  );
  assert.match(crash.message, /exit code 1: RangeError: no honey/);
  const { exitCode, stderr } = crash.cause as ProcessError;
  assert.is(exitCode, 1);
  assert.is(stderr.length, 4_000);
  assert.match(stderr, 'no honey');
  const rows: [code: string, kind: string, retried: boolean, message: RegExp][] = [
    ['process.exit(3)', 'other', true, /exit code 3 See https:\S+#AGENT_FAILED$/],
    ['process.exit(78)', 'other', false, /exit code 78/],
    ["process.kill(process.pid, 'SIGKILL')", 'other', true, /ended by SIGKILL \(memory\?\)/],
    ["console.error('connect ECONNREFUSED 127.0.0.1:1'); process.exit(1)", 'network', true, /ECONNREFUSED/],
    ['console.log(\'{"half":\')', 'other', true, /line 1 of stdout is no JSON/],
    ["console.log(JSON.stringify({ error: 'no luck' }))", 'other', true, /no luck/],
    ["console.log(JSON.stringify({ error: { message: 'no', isRetryable: false } }))", 'other', false, /no/],
    [
      "console.log(JSON.stringify({ error: { message: 'x', code: 'context_length_exceeded' } }))",
      'context-length',
      false,
      /x/,
    ],
    ['console.log(JSON.stringify({ usage: { inputTokens: -1 } }))', 'other', true, /inputTokens/],
  ];
  for (const [code, kind, retried, message] of rows) {
    const error = await failure(code);
    assert.match(error.message, message);
    if (/inputTokens/.test(code)) continue;
    assert.equal([error.kind, error.isRetryable], [kind, retried], code);
  }
});

test('a refusal of a provider is told as one', async () => {
  const code = `
    const refused = { message: 'slow down', status: 429, retryAfter: 0.02 };
    console.log(JSON.stringify(process.env.RXHIVE_ATTEMPT === '1' ? { error: refused } : { result: 'done' }));
    setInterval(() => {}, 1000);`;
  const said = await one((ctx) => node(code, { grace: 50 })('x', ctx), { count: 1 });
  assert.is(said.value, 'done');
  const refused = said.one?.attempts[0]?.error as AgentError | undefined;
  assert.equal([refused?.kind, refused?.retryAfter], ['rate-limit', 0.02]);
});

test('a command that is not there, or cannot be called, is not tried again', async () => {
  for (const [command, cwd, args, message] of [
    ['rxhive-no-such-command', '.', [], /there is no such command/],
    [process.execPath, '/no/such/folder', [], /its cwd is not there/],
    [process.execPath, '.', ['a\0b'], /null bytes/],
    ['README.md', '.', [], /may not be executed|no such command/],
  ] as const) {
    const run = fromProcess(command, args, { cwd });
    const said = await one((ctx) => run('x', ctx), soon);
    assert.match(String(said.one?.error), message);
    assert.is(said.one?.attempts.length, 1);
  }
  const circle: Record<string, unknown> = {};
  circle.itself = circle;
  const said = await one((ctx) => node('')(circle, ctx), soon);
  assert.match(String(said.one?.error), /circular/);
});

test('a line, or a text, without an end is cut off, and its command ended', async () => {
  const code =
    "process.on('SIGTERM', () => {}); const more = () => process.stdout.write('x'.repeat(1e5), more); more()";
  for (const output of ['json', 'text'] as const) {
    const error = await failure(code, { maxBytes: 1_000_000, output, grace: 50 });
    assert.match(error.message, /has over 1000000 bytes; raise maxBytes/);
    assert.is(error.isRetryable, false);
  }
  const long = await one((ctx) => node("console.log(JSON.stringify('x'.repeat(3e6)))")('x', ctx));
  assert.is((long.value as string).length, 3e6);
});

test('a command that does not read its input is none that fails', async () => {
  const said = await one((ctx) => node('console.log(1)')('x'.repeat(2_000_000), ctx));
  assert.is(said.value, 1);
});

test('fifty run at once, each with its own', async () => {
  const gate = join(mkdtempSync(join(tmpdir(), 'rxhive-')), 'open');
  const script = 'read line; echo "$line"; while [ ! -e "$0" ]; do sleep 0.1; done; echo "[$line]"';
  const run = fromProcess<number, unknown>('sh', ['-c', script, gate]);
  const flow = workflow({ name: 'fifty', concurrency: 50 });
  const tasks = Array.from({ length: 50 }, (_, i) => flow.task(`t${i}`, { run: (_, ctx) => run(i, ctx) }));
  const going = flow.run();
  const begun = new Set<number>();
  for (const [i, task] of tasks.entries())
    going.values$(task).subscribe(() => {
      begun.add(i);
      if (begun.size === 50) writeFileSync(gate, '');
    });
  const { status, results } = await going.result();
  assert.is(status, 'succeeded');
  for (const [i, task] of tasks.entries()) assert.equal(results.get(task), [i]);
});

/** A program that runs a command with a child, again and again where it ends; says the numbers of the first two. */
const program = (started: string, extra: string): string => `
  import { fromProcess } from '${new URL('../../lib/adapters/process/process.ts', import.meta.url)}';
  import { workflow } from '${new URL('../../lib/index.ts', import.meta.url)}';
  const code = ${JSON.stringify(
    `require('fs').appendFileSync(${JSON.stringify(started)}, process.pid + ' '); ${withChild('setInterval(() => {}, 1000)')}`,
  )};
  const flow = workflow({ name: 'p' });
  const run = fromProcess(process.execPath, ['-e', code]);
  const retry = { count: 1000, backoff: { initial: 1, jitter: 'none' } };
  const task = flow.task('a', { retry, run: (_, ctx) => run('x', ctx) });
  const going = flow.run();
  let told = false;
  going.values$(task).subscribe((value) => {
    if (told) return;
    told = true;
    console.log(JSON.stringify(value));
    ${extra}
  });
  going.result();`;

for (const [how, extra, signal] of [
  ['is interrupted', '', 'SIGINT'],
  ['exits', 'process.exit(7)', undefined],
] as const)
  test(`no command outlives a program that ${how}`, async () => {
    const started = join(mkdtempSync(join(tmpdir(), 'rxhive-')), 'started');
    const child = spawn(process.execPath, [
      '--import',
      'tsx',
      '--input-type=module',
      '-e',
      program(started, extra),
    ]);
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk;
      if (signal !== undefined && out.endsWith('\n')) child.kill(signal);
    });
    let err = '';
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk;
    });
    const ended = await new Promise((done) => child.on('close', (code, by) => done(by ?? code)));
    assert.is(ended, signal ?? 7, err);
    const pids = JSON.parse(out) as number[];
    assert.is(pids.length, 2);
    pids.push(...readFileSync(started, 'utf8').trim().split(' ').map(Number));
    await until(() => !pids.some(alive), 'all are gone');
  });

const agentFile = fileURLToPath(new URL('../support/process-agent.mjs', import.meta.url));
for (const check of agentConformance({
  skip: { 'stops the native agent when an attempt takes too long': 'shown above, in virtual time' },
  make: (url, { tools, stream }) =>
    fromProcess<unknown, string>(process.execPath, [
      agentFile,
      url,
      testModel,
      tools ? testTool.name : '',
      testTool.answer,
      stream ? 'stream' : '',
    ]),
}))
  test(`an agent in a process: ${check.name}`, () => check.run());

test('wrong options are told before anything starts', () => {
  for (const [make, message] of [
    [() => fromProcess(''), /command is ""/],
    [() => fromProcess('x', [], { grace: -1 }), /grace is -1/],
    [() => fromProcess('x', [], { maxBytes: 0.5 }), /maxBytes is 0.5/],
    [() => fromProcess('x', [], { output: 'xml' as 'text' }), /output is "xml"/],
  ] as const)
    assert.throws(
      make,
      (error: { code?: string; message: string }) =>
        error.code === 'INVALID_OPTION' && message.test(error.message),
    );
});

test.run();
