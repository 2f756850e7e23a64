import { Observable } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AgentTask,
  adaptAgent,
  type CheckpointStore,
  checkWorkflow,
  fallback,
  memory,
  type Run,
  type RxhiveError,
  race,
  settled,
  WorkflowDefinitionError,
  WorkflowOrchestrator,
  type WorkflowResult,
  workflow,
} from '../../lib/index.js';
import { escaped, turn } from '../support/escaped.js';
import { told } from '../support/told.js';

const codeOf = (error: unknown) => (error as RxhiveError | undefined)?.code;

const boom = (): never => {
  throw new Error('boom');
};
const throwing = (name: string, others: object = {}): never =>
  Object.defineProperty({ ...others }, name, { get: boom, enumerable: true }) as never;
const revoked = (): never => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy as never;
};

/** The end of a run of what `define` defines and a sibling, which must succeed. */
async function ended(
  define: (flow: ReturnType<typeof workflow>) => void,
  options: object = {},
): Promise<WorkflowResult> {
  escaped.length = 0;
  const flow = workflow({ name: 'unreadable', state: {} as never });
  define(flow as never);
  flow.task('sibling', { run: () => 1 });
  const run = flow.run({ runId: 'r', ...options } as never) as unknown as Run;
  run.events$.subscribe();
  const result = (await run.result()) as WorkflowResult;
  await turn();
  await turn();
  assert.equal(escaped, []);
  assert.is(result.tasks.get('sibling')?.status, 'succeeded');
  assert.ok(String(result.report));
  return result;
}

const taskOptions = [
  'dependencies',
  'version',
  'retry',
  'timeout',
  'run',
  'executor',
  'group',
  'resources',
  'cache',
  'hedge',
  'tokens',
  'priority',
  'result',
  'type',
  'estimate',
  'compensate',
  'isolation',
  'onConflict',
  'tolerate',
  'always',
  'whenOpen',
] as const;

for (const name of taskOptions)
  test(`a getter of the option ${name} that throws is a fault of its task`, () => {
    const flow = workflow({ name: 'getters' });
    flow.task('t', throwing(name, { run: () => 1 }));
    const [found] = checkWorkflow(flow);
    assert.is(found?.taskId, 't');
    assert.match(found?.message ?? '', new RegExp(`^Task "t": ${name} cannot be read, as that throws: boom`));
    assert.throws(
      () => flow.run(),
      (error: unknown) => error instanceof WorkflowDefinitionError,
    );
  });

test('options of options, and those of classes, are read in the same way', () => {
  const flow = workflow({
    name: 'getters',
    prices: { gpt: throwing('input', { output: 1 }) },
    groups: { llm: { breaker: throwing('failures'), limiter: throwing('requestsPerMinute') } },
  });
  flow.task('a', { retry: throwing('count'), run: () => 1 });
  flow.task('b', { retry: { count: 1, backoff: throwing('initial') }, run: () => 1 });
  flow.task('c', { timeout: throwing('attempt'), cache: throwing('key'), run: () => 1 });
  class Options {
    get dependencies(): never {
      return boom();
    }
    run(): number {
      return 1;
    }
  }
  flow.task('d', new Options());
  const told = checkWorkflow(flow).map(({ message }) => message);
  for (const name of [
    'prices.gpt.input',
    'groups.llm.breaker.failures',
    'groups.llm.limiter',
    '"a": retry.count',
    '"b": retry.backoff.initial',
    '"c": timeout.attempt',
    '"c": cache.key',
    '"d": dependencies',
  ])
    assert.ok(
      told.some((one) => one.includes(`${name} cannot be read`)),
      `${name} in ${told.join('\n')}`,
    );
});

test('whatever a call of the store throws, those it fails end with a code', async () => {
  for (const make of [revoked, () => new Proxy({}, { get: boom }), () => down(500), () => 'text'] as const)
    for (const name of ['append', 'close', 'put', 'get', 'read'] as const)
      for (const late of [false, true]) {
        const inner = memory();
        const fail = (): never => {
          if (late) return Promise.reject(make()) as never;
          throw make();
        };
        const store: CheckpointStore = {
          open: (id) => {
            const log = inner.open(id);
            let first = true;
            const append: typeof log.append = (entries) => {
              if (name === 'append' && !first) return fail();
              first = false;
              return log.append(entries);
            };
            return {
              entries: log.entries,
              append,
              replace: (...all) => log.replace(...all),
              close: () => (name === 'close' ? fail() : log.close()),
            };
          },
          read: (id) => (name === 'read' ? fail() : inner.read(id)),
          runs: () => inner.runs(),
          remove: (id) => inner.remove(id),
          get: (key) => (name === 'get' ? fail() : inner.get(key)),
          put: (key, text, run) => (name === 'put' ? fail() : inner.put(key, text, run)),
        };
        escaped.length = 0;
        const flow = workflow({ name: 'unreadable', memory: { spillAbove: 10 } });
        flow.task('large', { run: () => 'x'.repeat(2_000) });
        flow.task('cached', { cache: {}, version: '1', run: () => 1 });
        const result = await flow.run({ store, runId: 'r', durability: 'sync' }).result();
        await turn();
        assert.equal(escaped, []);
        const how = `${name} ${late ? 'late' : 'at once'}`;
        const fails = name === 'append' || (name === 'put' && !late);
        for (const id of name === 'put' ? ['large'] : fails ? ['large', 'cached'] : [])
          if (fails) assert.is(codeOf(result.tasks.get(id)?.error), 'STORE_FAILED', how);
        const ends = name === 'append' || name === 'close';
        assert.is(codeOf(result.error), ends ? 'STORE_FAILED' : undefined, how);
        assert.match(String(result.report), /^unreadable: /);
      }
});

test('an option is read once: what its getter says later counts for nothing', async () => {
  let asked = 0;
  const options = {
    get version() {
      asked += 1;
      return asked === 1 ? 'v1' : boom();
    },
    run: () => 1,
  };
  const result = await ended((flow) => flow.task('t', options), { store: memory() });
  assert.is(result.status, 'succeeded');
  assert.is(asked, 1);
});

test('options that cannot be read are refused where they cannot be collected', () => {
  const flow = workflow({ name: 'getters' });
  const refused = (make: () => unknown) =>
    assert.throws(
      make,
      (error: RxhiveError) =>
        error.code === 'INVALID_OPTION' && / cannot be read, as that throws: boom/.test(error.message),
    );
  refused(() => flow.run(throwing('signal')));
  refused(() => flow.each('e', throwing('from', { run: () => 1 })));
  refused(() => flow.taskType('type', throwing('retry', { run: () => 1 })));
  refused(() => fallback([throwing('group', { name: 'a', run: () => 1 })]));
  refused(() => fallback([{ name: 'a', run: () => 1 }], throwing('when')));
  refused(() => new AgentTask(throwing('data', { id: 'a', agentType: 'a' })));
  refused(() => new WorkflowOrchestrator(throwing('agents')));
});

test('prices that make no sense are faults, and a promise among them harms nobody', async () => {
  escaped.length = 0;
  const late = (async () => boom())();
  const every: readonly unknown[] = [
    boom,
    new Proxy({}, { ownKeys: boom }),
    ...[Number.NaN, -1, late, 'much', boom].map((input) => ({ gpt: { input, output: 1 } })),
  ];
  for (const prices of every)
    assert.match(
      checkWorkflow(workflow({ name: 'p', prices: prices as never }))[0]?.message ?? '',
      /^prices/,
    );
  await turn();
  assert.equal(escaped, []);
});

/** Things to throw that cannot be looked at. */
const hostile: Readonly<Record<string, () => unknown>> = {
  'has no prototype to tell': () => new Proxy(new Error('x'), { getPrototypeOf: boom }),
  'was revoked': revoked,
  'tells nothing': () => new Proxy({}, { get: boom }),
  'has no list of its names': () => new Proxy({}, { ownKeys: boom }),
  'is no text': () => ({ toString: boom }),
  'is no primitive': () => ({ [Symbol.toPrimitive]: boom }),
  ...Object.fromEntries(
    ['name', 'message', 'status', 'code', 'cause', 'extra'].map((name) => [
      `has a ${name} that throws`,
      () => throwing(name),
    ]),
  ),
};

for (const [what, make] of Object.entries(hostile))
  test(`an error that ${what} is told as one that cannot be looked at`, async () => {
    const fail = (): never => {
      throw make();
    };
    const candidates = [
      { name: 'a', run: fail },
      { name: 'b', run: async () => fail() },
    ];
    const { tasks } = await ended(
      (flow) => {
        flow.task('body', { retry: { count: 1, backoff: () => 0 }, run: fail });
        flow.task('stream', { run: () => new Observable((to) => to.error(make())) });
        flow.task('fallback', { run: fallback(candidates) });
        flow.task('when', { run: fallback(candidates, { when: fail }) });
        flow.onTaskComplete(flow.task('handler', { run: () => 1 }), fail);
        flow.task('recipe', { run: (_, ctx) => ctx.update(fail) });
        flow.task('retryIf', { retry: { count: 1, retryIf: fail }, run: () => boom() });
        flow.task('inner', {
          run: (_, ctx) => ctx.join({ child: settled(ctx.spawn('child', { run: fail })) }),
        });
      },
      { store: memory() },
    );
    const codes = Object.fromEntries([...tasks].map(([id, { error }]) => [id, codeOf(error)]));
    assert.is(codes.body, 'CALLBACK_FAILED');
    assert.is(codes.stream, 'CALLBACK_FAILED');
    assert.is(codes.fallback, 'TOO_FEW_SUCCEEDED');
    assert.is(codes.when, 'CALLBACK_FAILED');
    assert.is(codes.handler, 'HANDLER_FAILED');
    assert.is(codes.recipe, 'CALLBACK_FAILED');
    assert.is(codes.retryIf, 'CALLBACK_FAILED');
    assert.is(codes.child, 'CALLBACK_FAILED');
  });

/** Errors with one part that cannot be read; the rest says what they mean. */
const partly: Readonly<Record<string, (status: number) => unknown>> = {
  'a field': (status) => Object.defineProperty(down(status), 'config', { get: boom, enumerable: true }),
  'its cause': (status) => Object.defineProperty(down(status), 'cause', { get: boom }),
  'its name': (status) => Object.defineProperty(down(status), 'name', { get: boom }),
  'a code of its class': (status) =>
    new (class extends Error {
      readonly status = status;
      get code(): never {
        return boom();
      }
    })('down'),
  'its text': (status) => Object.assign(down(status), { toString: boom }),
  'its answer': (status) =>
    Object.assign(down(status), {
      response: Object.defineProperty({}, 'data', { get: boom, enumerable: true }),
    }),
  'a field, as a proxy': (status) =>
    new Proxy(down(status), {
      get: (target, name) => (name === 'cause' ? boom() : Reflect.get(target, name)),
    }),
};

function down(status: number): Error {
  return Object.assign(new Error('down'), { status });
}

for (const [what, make] of Object.entries(partly))
  test(`an error of which ${what} cannot be read means what the rest of it says`, async () => {
    for (const [status, attempts] of [
      [503, 3],
      [400, 1],
    ] as const)
      for (const adapted of [false, true]) {
        let calls = 0;
        const body = (): never => {
          calls += 1;
          throw make(status);
        };
        const { tasks, report } = await ended((flow) =>
          flow.task('t', {
            retry: { count: 2, backoff: () => 0 },
            run: adapted ? (adaptAgent(async () => body()) as never) : body,
          }),
        );
        const error = tasks.get('t')?.error as Error & { status?: number };
        const how = `${status}, ${adapted ? 'adapted' : 'plain'}`;
        assert.is(calls, attempts, how);
        assert.is(error.status, status, how);
        assert.ok(error instanceof Error, how);
        assert.match(String(error), 'down');
        assert.match(String(report), 'down');
      }
  });

/** Values that throw when they are read, or that nothing can be made of. */
const values: Readonly<Record<string, () => unknown>> = {
  'a getter': () => throwing('a'),
  'a getter of a class': () =>
    new (class {
      get a(): never {
        return boom();
      }
    })(),
  'a revoked proxy': () => [revoked()],
  'a proxy without names': () => new Proxy({}, { ownKeys: boom }),
  'a proxy without prototype': () => [new Proxy({}, { getPrototypeOf: boom })],
  'a key of a Map': () => new Map([[throwing('a'), 1]]),
  'a generator': function* () {
    yield 1;
  },
};

for (const [what, make] of Object.entries(values))
  test(`${what} as a result, in the state, in data, in an error: each task ends with a code`, async () => {
    const { tasks } = await ended(
      (flow) => {
        const type = flow.taskType('type', { run: () => 1 });
        flow.task('result', { run: make });
        flow.task('state', {
          run: (_, ctx) =>
            ctx.update((draft) => {
              (draft as Record<string, unknown>).a = make();
            }),
        });
        flow.task('data', { run: (_, ctx) => void ctx.spawn(type, 'child', make()) });
        flow.task('usage', { run: (_, ctx) => ctx.usage({ inputTokens: make() as never }) });
        flow.task('log', { run: (_, ctx) => ctx.log('x', make()) });
        flow.task('key', { cache: { key: make }, run: () => 1 });
        flow.task('extra', {
          run: () => {
            throw Object.assign(new Error('its own'), { inner: make() }, { cause: make() });
          },
        });
      },
      { store: memory() },
    );
    const of = (id: string) => tasks.get(id)?.error as RxhiveError | undefined;
    assert.is(of('result')?.code, 'NOT_SERIALIZABLE');
    assert.is(of('state')?.code, 'NOT_SERIALIZABLE');
    assert.is(of('data')?.code, 'NOT_SERIALIZABLE');
    assert.is(of('usage')?.code, 'INVALID_OPTION');
    assert.is(tasks.get('log')?.status, 'succeeded');
    assert.is(of('key')?.code, 'CALLBACK_FAILED');
    assert.is(of('extra')?.message, 'its own');
  });

test('without a store what cannot be read is a result like any other', async () => {
  const { status } = await ended((flow) => {
    for (const [what, make] of Object.entries(values)) {
      const source = flow.task(what, { run: make });
      flow.task(`after ${what}`, { dependencies: { source }, cache: {}, run: () => 1 });
    }
  });
  assert.is(status, 'succeeded');
});

test('dependencies that are no tasks are faults, whatever they are', () => {
  const flow = workflow({ name: 'd' });
  for (const [i, dependencies] of [
    revoked(),
    { a: revoked() },
    [revoked()],
    { a: race([revoked()]) },
  ].entries())
    flow.task(`t${i}`, { dependencies, run: () => 1 });
  flow.task('options', revoked());
  flow.task('schema', { result: revoked(), run: () => 1 });
  const told = new Set(checkWorkflow(flow).map(({ taskId }) => taskId));
  assert.equal([...told].sort(), ['options', 'schema', 't0', 't1', 't2', 't3']);
});

type Settle = (value: unknown) => void;
const thenable = (then: (this: unknown, done: Settle, failed: Settle) => unknown): object =>
  Object.defineProperty({}, 'then', { value: then });

/** Bodies that answer in ways of their own. */
const bodies: Readonly<Record<string, readonly [body: () => unknown, code: string | undefined]>> = {
  'a then that throws': [() => throwing('then'), undefined],
  'both answers, twice, and a throw': [
    () =>
      thenable((done, failed) => {
        done(new Promise(() => undefined));
        failed(new Error('second'));
        done(2);
        boom();
      }),
    'TASK_TIMEOUT',
  ],
  'no answer': [() => thenable(() => undefined), 'TASK_TIMEOUT'],
  'itself, for ever': [
    () =>
      thenable(function (done) {
        queueMicrotask(() => done(this));
      }),
    'CALLBACK_FAILED',
  ],
  'itself, at once': [
    () =>
      thenable(function (done) {
        done(this);
      }),
    'CALLBACK_FAILED',
  ],
  'an Observable that throws after a value': [
    () =>
      new Observable((to) => {
        to.next(1);
        boom();
      }),
    undefined,
  ],
  'an Observable whose teardown rejects': [() => new Observable(() => async () => boom()), 'TASK_TIMEOUT'],
  'an Observable of another kind that throws': [
    () => ({ [Symbol.observable ?? '@@observable']: () => ({ subscribe: boom }) }),
    undefined,
  ],
  'an iterator without promises': [
    () => ({ [Symbol.asyncIterator]: () => ({ next: () => 5 }) }),
    'CALLBACK_FAILED',
  ],
  'an iterator of no results': [
    () => ({ [Symbol.asyncIterator]: () => ({ next: async () => 5 }) }),
    'CALLBACK_FAILED',
  ],
  'an iterator whose done throws': [
    () => ({ [Symbol.asyncIterator]: () => ({ next: async () => throwing('done') }) }),
    undefined,
  ],
  'an iterator whose next throws when read': [
    () => ({ [Symbol.asyncIterator]: () => throwing('next') }),
    undefined,
  ],
  'an iterator that never returns': [
    () => ({
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => undefined),
        return: () => new Promise(() => undefined),
      }),
    }),
    'TASK_TIMEOUT',
  ],
  'a generator whose finally throws': [
    async function* () {
      try {
        yield 1;
        await new Promise(() => undefined);
      } finally {
        boom();
      }
    },
    'TASK_TIMEOUT',
  ],
};

for (const [what, [body, code]] of Object.entries(bodies))
  test(`a body that gives ${what}: its task ends, and nothing escapes`, async () => {
    const { tasks } = await ended((flow) => flow.task('t', { timeout: 20, run: body }));
    const { error, status } = tasks.get('t') ?? {};
    if (code !== undefined) assert.is(codeOf(error), code);
    else if (status === 'failed') assert.match((error as Error).message, /boom|subscribe/);
  });

test('listeners of ctx.signal that throw or reject are told, and harm nobody', async () => {
  let heard = 0;
  const removed = (): void => {
    heard += 100;
  };
  const { tasks, report } = await ended((flow) =>
    flow.task('t', {
      timeout: 5,
      run: (_, { signal }) => {
        signal.addEventListener('abort', boom);
        signal.addEventListener('abort', async () => boom());
        signal.addEventListener('abort', { handleEvent: boom });
        signal.onabort = boom;
        signal.addEventListener('abort', removed);
        signal.removeEventListener('abort', removed);
        for (let i = 0; i < 2; i++) signal.addEventListener('abort', counts, { once: true });
        return new Promise(() => undefined);
      },
    }),
  );
  function counts(this: AbortSignal, event: Event): void {
    assert.is(this, event.target);
    heard += 1;
  }
  assert.is(heard, 1);
  assert.is(codeOf(tasks.get('t')?.error), 'TASK_TIMEOUT');
  assert.equal(
    report.subscriberErrors?.map((error) => (error as Error).message),
    Array.from({ length: 4 }, () => told('CALLBACK_FAILED', 'A listener of ctx.signal threw: boom')),
  );
});

/** What begins tells the run; what comes at the end can change nothing any more. */
for (const hook of ['run', 'task'] as const)
  for (const [what, begin] of Object.entries({
    throws: boom,
    rejects: async () => boom(),
    'returns NaN': () => Number.NaN,
  }))
    test(`middleware whose ${hook} hook ${what} ends its ${hook} with a code`, async () => {
      escaped.length = 0;
      const ends: string[] = [];
      const outer = { [hook]: () => () => ends.push('outer') };
      const only = (call: { taskId?: string }): unknown =>
        hook === 'run' || call.taskId === 't' ? (begin as () => unknown)() : undefined;
      const flow = workflow({ name: 'm', middleware: [outer, { [hook]: only }] as never });
      flow.task('t', { retry: 2, run: () => 1 });
      flow.task('sibling', { run: () => 1 });
      const { tasks, error, status } = await flow.run().result();
      await turn();
      assert.equal(escaped, []);
      const fault = (hook === 'run' ? error : tasks.get('t')?.error) as RxhiveError;
      assert.is(fault.code, 'CALLBACK_FAILED');
      assert.match(fault.message, new RegExp(`^middleware\\.${hook} `));
      assert.is(status, hook === 'run' ? 'cancelled' : 'partial');
      assert.is(tasks.get('sibling')?.status, hook === 'run' ? 'cancelled' : 'succeeded');
      // Whoever had begun hears of the end.
      assert.equal(ends, hook === 'run' ? ['outer'] : ['outer', 'outer']);
    });

test.run();
