import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ignoreElements, Observable, of } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { sequentialThinking } from '../../lib/entry/agents.js';
import type { AttemptCall } from '../../lib/entry/events.js';
import type { Limiter, LimiterSeat, Permit } from '../../lib/entry/limits.js';
import { MemoryStore } from '../../lib/entry/stores.js';
import type { Place, PlaceUse } from '../../lib/entry/types.js';
import {
  AgentTask,
  adaptive,
  callback,
  channel,
  controller,
  fallback,
  human,
  type Run,
  RxhiveError,
  runWorkflow,
  type StandardSchema,
  type TaskContext,
  typed,
  virtual,
  WorkflowOrchestrator,
  type WorkflowResult,
  workflow,
} from '../../lib/index.js';
import { escaped, turn } from '../support/escaped.js';

/** Ways in which a function of a user may go wrong. */
const nonsense: Readonly<Record<string, (run: () => Run | undefined) => unknown>> = {
  throws: () => {
    throw new Error('thrown');
  },
  'throws no error': () => {
    throw undefined;
  },
  'throws what throws when looked at': () => {
    throw new Proxy(
      {},
      {
        get: () => {
          throw new Error('trap');
        },
      },
    );
  },
  'throws what does not say what it is': () => {
    throw new Proxy(new Error('x'), {
      getPrototypeOf: () => {
        throw new Error('trap');
      },
    });
  },
  'rejects late': async () => {
    await null;
    throw new Error('late');
  },
  'answers twice': () =>
    Object.defineProperty({}, 'then', {
      value: (done: (value: unknown) => void, failed: (error: unknown) => void) => {
        done(1);
        done(2);
        failed(new Error('third'));
      },
    }),
  'never answers': () => new Promise(() => undefined),
  'says NaN': () => Number.NaN,
  'says less than nothing': () => -1,
  'says infinitely much': () => Number.POSITIVE_INFINITY,
  'says another type': () => ({ an: 'object' }),
  'cancels the run': (run) => run()?.cancel(),
};

type Fn = () => never;
const http = (status: number) => Object.assign(new Error(`HTTP ${status}`), { status });
const fails = (status: number) => () => {
  throw http(status);
};
const never = () => new Promise<never>(() => undefined);
/** A schema whose `validate` is `fn`. */
const checks = (fn: Fn): StandardSchema<never> => ({
  '~standard': { version: 1, vendor: 'x', validate: fn },
});
/** A run of one task. */
const alone = (options: object, settings: object = {}): Run => {
  const flow = workflow({ name: 'guard', ...settings });
  flow.task('t', options as never);
  return flow.run() as Run;
};

/** A run of one loop; one that never knows where it stands is cancelled. */
const looped = (options: object): Run => {
  const flow = workflow({ name: 'guard' });
  flow.loop('t', { max: 2, timeout: 20, ...options } as never);
  const run = flow.run() as Run;
  setTimeout(() => run.cancel(), 60);
  return run;
};

const ofSeat = 'admits wait unwait take delay refused passed told state close'.split(
  ' ',
) as (keyof LimiterSeat)[];

/** A limiter of a user's, with `fn` in place of one of its functions. */
function own(name: keyof LimiterSeat | keyof Permit | 'seat' | 'none', fn: Fn): Limiter {
  const inner = virtual({ maxConcurrent: 1, backoff: { initial: 1, max: 1 } });
  const permit = (given: Permit): Permit => ({
    at: given.at,
    pause: () => (name === 'pause' ? fn() : given.pause()),
    release: (tokens) => {
      if (name === 'release') return fn();
      // It is asked for a delay only where nobody has a permit and none comes.
      if (name !== 'delay') given.release(tokens);
    },
  });
  const seat: Limiter['seat'] = (client) => {
    if (name === 'seat') return fn();
    const one = inner.seat(client);
    const given = new Map<Permit | undefined, Permit>();
    const all = Object.fromEntries(
      ofSeat.map((each) => [
        each,
        (...args: unknown[]) =>
          each === name ? fn() : (one[each] as (...args: unknown[]) => unknown).apply(one, args),
      ]),
    ) as unknown as LimiterSeat;
    return {
      ...all,
      take: (request, again) => {
        if (name === 'take') return fn();
        const made = one.take(request, given.get(again));
        const shown = again ?? permit(made);
        given.set(shown, made);
        return shown;
      },
      refused: (which, asked) => (name === 'refused' ? fn() : one.refused(given.get(which) as Permit, asked)),
      passed: (which) => (name === 'passed' ? fn() : one.passed(given.get(which) as Permit)),
    };
  };
  return { settings: inner.settings, update: (settings) => inner.update(settings), seat };
}

/** Passes through all that a limiter has. */
const throughLimiter =
  (name: Parameters<typeof own>[0]) =>
  (fn: Fn): Run => {
    const flow = workflow({ name: 'guard', groups: { llm: { limiter: own(name, fn) } } });
    flow.task('t', {
      group: 'llm',
      retry: { count: 1, backoff: () => 0 },
      run: async (_, ctx) => {
        ctx.limits({ 'x-ratelimit-limit-requests': '10', 'x-ratelimit-remaining-requests': '3' });
        await ctx.join([ctx.spawn(`child ${ctx.attempt}`, { run: () => 1 })]);
        if (ctx.attempt === 1) throw http(429);
      },
    });
    flow.task('other', { group: 'llm', run: () => 1 });
    return flow.run() as Run;
  };

const llm = (limiter: object) => ({ name: 'guard', groups: { llm: { limiter: virtual(limiter) } } });

/** Every place where the public API takes a function that is asked or told. */
const places: Readonly<Record<string, (fn: Fn) => Run>> = {
  'limiter.countTokens': (fn) => {
    const flow = workflow(llm({ tokensPerMinute: 100, countTokens: fn }));
    flow.task('t', { group: 'llm', run: () => 1 });
    return flow.run() as Run;
  },
  tokens: (fn) => {
    const flow = workflow(llm({ tokensPerMinute: 100 }));
    flow.task('t', { group: 'llm', tokens: fn, run: () => 1 });
    return flow.run() as Run;
  },
  'limiter.backoff': (fn) => {
    const flow = workflow(llm({ requestsPerMinute: 100, backoff: fn }));
    flow.task('t', { group: 'llm', retry: { count: 1, backoff: () => 0 }, run: fails(429) });
    return flow.run() as Run;
  },
  'retry.backoff': (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.task('t', { retry: { count: 1, backoff: fn }, run: fails(500) });
    return flow.run() as Run;
  },
  'when of a task': (fn) => alone({ when: fn, timeout: 20, run: () => 1 }),
  'retry.retryIf': (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.task('t', { retry: { count: 1, retryIf: fn, backoff: () => 0 }, run: fails(500) });
    return flow.run() as Run;
  },
  'fair of a controller': (fn) => {
    const flow = workflow({ name: 'guard', controller: controller({ fair: fn }) });
    flow.task('t', { run: () => 1 });
    return flow.run() as Run;
  },
  'breaker.counts': (fn) => {
    const flow = workflow({
      name: 'guard',
      groups: { llm: { breaker: { failures: 5, openFor: 1, counts: fn } } },
    });
    flow.task('t', { group: 'llm', run: fails(500) });
    return flow.run() as Run;
  },
  'adaptive.overloaded': (fn) => {
    const flow = workflow({ name: 'guard', concurrency: adaptive({ max: 4, overloaded: fn }) });
    flow.task('t', { run: fails(500) });
    return flow.run() as Run;
  },
  'fallback.when': (fn) => {
    const flow = workflow({ name: 'guard' });
    const one = (name: string) => ({ name, run: fails(500) });
    flow.task('t', { run: fallback([one('a'), one('b')], { when: fn }) });
    return flow.run() as Run;
  },
  'cache.key': (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.task('t', { cache: { key: fn }, run: () => 1 });
    return flow.run() as Run;
  },
  'a schema': (fn) => alone({ timeout: 20, result: checks(fn), run: () => 1 }),
  'the schema of an input': (fn) => {
    const flow = workflow({ name: 'guard', input: checks(fn) });
    flow.task('t', { run: () => 1 });
    return flow.run({ input: 1 } as never) as Run;
  },
  'the schema of a channel': (fn) => {
    const said = channel('said', { schema: checks(fn) });
    return alone({ timeout: 20, run: (_: unknown, ctx: TaskContext) => ctx.send(said, 1 as never) });
  },
  'the schema of a reply': (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.task('t', { timeout: 20, run: (_, ctx) => ctx.ask('other', 1, { schema: checks(fn) }) });
    flow.task('other', {
      timeout: 40,
      run: async (_, ctx) => {
        for await (const request of ctx.requests$()) await request.reply(1);
      },
    });
    return flow.run() as Run;
  },
  'the schema of a question': (fn) => {
    const run = alone({
      timeout: 20,
      run: (_: unknown, ctx: TaskContext) => ctx.ask(human(checks(fn), 'Well?')),
    });
    run.questions$.subscribe(([question]) => {
      // One that is refused stays open: people would answer again.
      if (question !== undefined) run.answer(question.id, 1).catch(() => setTimeout(() => run.cancel(), 5));
    });
    // A schema that never answers keeps the question open: people would wait as well.
    setTimeout(() => run.cancel(), 60);
    return run;
  },
  'an executor': (fn) => alone({ timeout: 20, executor: { version: '1', run: fn } }),
  ...Object.fromEntries(
    ['watch', 'demand', 'close'].map((name) => [
      `${name} of a place`,
      (fn: Fn) => {
        const use = { demand: () => undefined, close: () => undefined };
        const watch = (): PlaceUse => (name === 'watch' ? fn() : { ...use, [name]: fn });
        const place: Place = { name: 'elsewhere', slots: 1, watch };
        return alone({ timeout: 20, executor: { version: '1', place, run: () => 1 } });
      },
    ]),
  ),
  'an agent': (fn) => {
    const orchestrator = new WorkflowOrchestrator({ agents: { one: { run: fn } } });
    orchestrator.addTask(new AgentTask({ id: 't', agentType: 'one', timeout: 20 }));
    return orchestrator.workflow().run() as unknown as Run;
  },
  'tokens of an agent task': (fn) => {
    const orchestrator = new WorkflowOrchestrator({
      agents: { one: () => 1 },
      limiter: virtual({ tokensPerMinute: 100 }),
    });
    orchestrator.addTask(new AgentTask({ id: 't', agentType: 'one', tokens: fn }));
    return orchestrator.workflow().run() as unknown as Run;
  },
  'a handler of an orchestrator': (fn) => {
    const orchestrator = new WorkflowOrchestrator({ agents: { one: () => 1 } });
    orchestrator.addTask(new AgentTask({ id: 't', agentType: 'one', timeout: 20 }));
    orchestrator.onTaskComplete('t', fn);
    return orchestrator.workflow().run() as unknown as Run;
  },
  compensate: (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.task('t', { timeout: 20, compensate: fn, run: () => 1 });
    // As `flow.compensate` does it: a task that calls it.
    const { compensate } = flow.definition().tasks[0] as {
      compensate: (value: never, ctx: never) => unknown;
    };
    return alone({
      timeout: 20,
      run: (_: unknown, ctx: TaskContext) => compensate(1 as never, ctx as never),
    });
  },
  'the body of a type': (fn) => {
    const flow = workflow({ name: 'guard' });
    const type = flow.taskType('type', { timeout: 20, run: fn });
    flow.task('t', { run: (_, ctx) => void ctx.spawn(type, 'child', 1) });
    return flow.run() as Run;
  },
  'a candidate': (fn) =>
    alone({
      timeout: 40,
      run: fallback([{ name: 'a', timeout: 20, run: fn } as never, { name: 'b', timeout: 20, run: fn }]),
    }),
  'an item': (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.each('t', { from: [1, 2], timeout: 20, run: fn });
    return flow.run() as Run;
  },
  'from as a function': (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.each('t', { from: fn, run: () => 1 });
    return flow.run() as Run;
  },
  'a turn': (fn) => looped({ from: 1, until: () => true, run: fn }),
  'from of a loop': (fn) => looped({ from: fn, until: () => true, run: () => 1 }),
  'until of a loop': (fn) => looped({ from: 1, until: fn, run: () => 1 }),
  'send of a callback': (fn) => {
    const run = alone({
      timeout: 20,
      run: (_: unknown, ctx: TaskContext) => ctx.ask(callback(typed<number>(), fn)),
    });
    // One that has been sent waits for a program.
    setTimeout(() => run.cancel(), 60);
    return run;
  },
  'a shared thing': (fn) =>
    alone({ timeout: 20, run: (_: unknown, ctx: TaskContext) => ctx.shared('file').use(fn) }),
  'what is read': (fn) =>
    alone({ timeout: 20, run: (_: unknown, ctx: TaskContext) => ctx.read(fn) }, { state: {} }),
  'what is read, serializable': (fn) =>
    alone(
      { isolation: 'serializable', timeout: 20, run: (_: unknown, ctx: TaskContext) => ctx.read(fn) },
      { state: {} },
    ),
  'a thinker': (fn) =>
    alone({ timeout: 20, run: sequentialThinking({ think: fn, task: { timeout: 10 } }) as never }),
  load$: (fn) => alone({ run: () => 1 }, { load$: new Observable(() => fn()) }),
  'a listener of ctx.signal': (fn) =>
    alone({
      timeout: 5,
      run: (_: unknown, { signal }: TaskContext) => {
        signal.addEventListener('abort', fn);
        return never();
      },
    }),
  ...Object.fromEntries(
    (['seat', ...ofSeat, 'pause', 'release'] as const).map((name) => [
      `limiter.${name}`,
      throughLimiter(name),
    ]),
  ),
  ...Object.fromEntries(
    (['run', 'task'] as const).map((hook) => [
      `the end of middleware.${hook}`,
      (fn: Fn) => alone({ run: () => 1 }, { middleware: [{ [hook]: () => fn }] }),
    ]),
  ),
  ...Object.fromEntries(
    (['onStop', 'onUsage'] as const).map((told) => [
      `what middleware hears by ${told}`,
      (fn: Fn) => {
        const attempt = (call: AttemptCall, next: () => unknown): unknown => {
          call[told](fn);
          return next();
        };
        const run = (_: unknown, ctx: TaskContext): unknown => {
          ctx.usage({ inputTokens: 1 });
          return never();
        };
        return alone({ timeout: 5, run }, { middleware: [{ attempt }] });
      },
    ]),
  ),
  'limiter.settings': (fn) => {
    const limiter = Object.defineProperty(own('seat', fn), 'settings', { get: fn });
    return alone({ group: 'llm', run: () => 1 }, { groups: { llm: { limiter } } });
  },
  'key of flow.each': (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.each('t', { from: [1], key: fn, run: () => 1 });
    return flow.run() as Run;
  },
  'keyBy of flow.each': (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.each('t', { from: [1, 2], keyBy: fn, run: () => 1 });
    return flow.run() as Run;
  },
  'scan of flow.each': (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.each('t', { from: [1, 2], run: () => 1, scan: { seed: 0, step: fn } });
    return flow.run() as Run;
  },
  'key of an operator': (fn) => {
    const hive = controller();
    return alone({
      run: () => of(1).pipe(hive.mergeMap('work', () => 1, { store: new MemoryStore(), key: fn })),
    });
  },
  'runId of runWorkflow': (fn) => {
    const inner = workflow({ name: 'inner' });
    inner.task('t', { run: () => 1 });
    return alone({ run: () => of(undefined).pipe(runWorkflow(inner, { runId: fn }), ignoreElements()) });
  },
  'from of flow.each': (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.each('t', { from: { [Symbol.iterator]: () => ({ next: fn }) }, run: () => 1 });
    return flow.run() as Run;
  },
  'return of an iterator': (fn) => {
    const flow = workflow({ name: 'guard' });
    const iterator = { next: never, return: fn };
    flow.task('t', { timeout: 5, run: () => ({ [Symbol.asyncIterator]: () => iterator }) });
    return flow.run() as Run;
  },
  'next of an iterator': (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.task('t', { timeout: 5, run: () => ({ [Symbol.asyncIterator]: () => ({ next: fn }) }) });
    return flow.run() as Run;
  },
  'a teardown': (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.task('t', { timeout: 5, run: () => new Observable(() => () => fn()) });
    return flow.run() as Run;
  },
  'a body': (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.task('t', { timeout: 5, run: fn });
    return flow.run() as Run;
  },
  onTaskComplete: (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.onTaskComplete(flow.task('t', { timeout: 5, run: () => 1 }), fn);
    return flow.run() as Run;
  },
  'a breakpoint': (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.task('t', { run: () => 1 });
    return flow.run({ pauseBefore: [fn] }) as Run;
  },
  'a recipe': (fn) => {
    const flow = workflow({ name: 'guard', state: {} });
    flow.task('t', { run: (_, ctx) => ctx.update(fn) });
    return flow.run() as unknown as Run;
  },
  'a subscriber of events': (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.task('t', { run: () => 1 });
    const run = flow.run() as Run;
    setImmediate(() => run.events$.subscribe(fn));
    flow.task('later', { run: turn });
    return run;
  },
  ...Object.fromEntries(
    (['run', 'task', 'attempt'] as const).map((hook) => [
      `middleware.${hook}`,
      (fn: Fn) => {
        const flow = workflow({ name: 'guard', middleware: [{ [hook]: fn }] });
        flow.task('t', { timeout: 5, run: () => 1 });
        return flow.run() as Run;
      },
    ]),
  ),
};

/** A source that never answers, or always with another item: a cancel is how its run ends. */
const mayWait = /^(from of flow.each|from as a function)/;
/** What stands for a body: its errors are the task's, as they are. */
const isBody =
  /^(a body|a recipe|from of flow.each|from as a function|next of an iterator|middleware.attempt|an executor|an agent|the body of a type|compensate|a candidate|an item|a shared thing|what is read|a thinker|a turn|send of a callback)/;

for (const [place, begin] of Object.entries(places)) {
  for (const [behaviour, act] of Object.entries(nonsense)) {
    test(`${place} ${behaviour}: the run ends, and nothing escapes`, async () => {
      escaped.length = 0;
      let run: Run | undefined;
      try {
        run = begin((() => act(() => run)) as Fn);
      } catch (error) {
        // Refused before anything began.
        assert.ok(error instanceof RxhiveError, String(error));
        return;
      }
      const watched = new Promise<WorkflowResult>((done) => {
        run?.result().then((result) => done(result as WorkflowResult));
      });
      if (mayWait.test(place)) setTimeout(() => run?.cancel(), 5);
      // A limiter that gives no permit: the run knows that it waits for nothing that comes.
      run.events$.subscribe(({ type, reason }) => {
        if (type === 'run' && reason === 'stuck') run?.cancel();
      });
      // Long enough for any machine: who waits for ever is found by this.
      let late: NodeJS.Timeout | undefined;
      const hung = new Promise<'hung'>((done) => {
        late = setTimeout(() => done('hung'), 5_000);
      });
      const result = await Promise.race([watched, hung]);
      clearTimeout(late);
      if (result === 'hung') throw new Error(`${run.explain('t')} ${run.stuck().join()}`);
      await turn();
      await turn();
      assert.equal(escaped, []);
      if (isBody.test(place)) return;
      for (const [id, { error }] of result.tasks)
        assert.ok(
          error === undefined || error instanceof RxhiveError || /^HTTP /.test((error as Error).message),
          `${id}: ${error}`,
        );
    });
  }
}

test('each function of the limiter above is called, and without a fault its run succeeds', async () => {
  for (const name of ['seat', ...ofSeat, 'pause', 'release'] as const) {
    let calls = 0;
    const run = throughLimiter(name)(() => {
      calls += 1;
      throw new Error('thrown');
    });
    run.events$.subscribe(({ type, reason }) => {
      if (type === 'run' && reason === 'stuck') run.cancel();
    });
    await run.result();
    assert.ok(calls > 0, name);
  }
  const { status } = await throughLimiter('none')(fails(0)).result();
  assert.is(status, 'succeeded');
});

/** Functions that rxhive gives, and those that are no part of a run or are tried by a spec of their own. */
const others: Readonly<Record<string, RegExp>> = {
  'rxhive gives them':
    /^(AttemptCall|LimiterClient|RemoteContext|Request|Results|RunReport|Shared|TaskContext|TaskReports|WorkflowResult)\.|^AnyChannel\.~message$/,
  'spec/stores/failures.spec.ts': /^(CheckpointStore|RunLog)\./,
  'spec/stores/redis-limits.spec.ts': /^RedisClient\./,
  'spec/adapters/thinking.spec.ts': /^(ThoughtRecorder|ThinkingOptions)\./,
  'spec/adapters/adapters.spec.ts': /^(PromptMapping|Progress)\./,
  'no part of a run': /^(AnswerOptions\.watch|PruneOptions\.of|Limiter\.update|NoPromise\.then)$/,
};
/** Where the table above has the functions of the public types. */
const tried: Readonly<Record<string, string>> = {
  'AdaptiveOptions.overloaded': 'adaptive.overloaded',
  'Agent.run': 'an agent',
  'AgentLoopOptions.from': 'from of a loop',
  'AgentLoopOptions.until': 'until of a loop',
  'AgentTaskOptions.tokens': 'tokens of an agent task',
  'AgentTaskOptions.when': 'when of a task',
  'AskOptions.schema': 'the schema of a reply',
  'BreakerOptions.counts': 'breaker.counts',
  'CacheOptions.key': 'cache.key',
  'CallbackOptions.send': 'send of a callback',
  'Candidate.run': 'a candidate',
  'ChannelOptions.schema': 'the schema of a channel',
  'ControllerOptions.fair': 'fair of a controller',
  'EachOptions.from': 'from as a function',
  'EachOptions.key': 'key of flow.each',
  'EachOptions.keyBy': 'keyBy of flow.each',
  'EachOptions.run': 'an item',
  'Executor.run': 'an executor',
  'FallbackOptions.when': 'fallback.when',
  'Limiter.seat': 'limiter.seat',
  ...Object.fromEntries(ofSeat.map((name) => [`LimiterSeat.${name}`, `limiter.${name}`])),
  'LimiterSettings.backoff': 'limiter.backoff',
  'LimiterSettings.countTokens': 'limiter.countTokens',
  'LoopOptions.from': 'from of a loop',
  'LoopOptions.until': 'until of a loop',
  'LoopWork.executor': 'an executor',
  'LoopWork.run': 'a turn',
  'Middleware.attempt': 'middleware.attempt',
  'Middleware.run': 'middleware.run',
  'Middleware.task': 'middleware.task',
  'OrchestratorOptions.agents': 'an agent',
  'Permit.pause': 'limiter.pause',
  'Permit.release': 'limiter.release',
  'Place.watch': 'watch of a place',
  'PlaceUse.close': 'close of a place',
  'PlaceUse.demand': 'demand of a place',
  'RetryOptions.backoff': 'retry.backoff',
  'RetryOptions.retryIf': 'retry.retryIf',
  'RunWorkflowOptions.runId': 'runId of runWorkflow',
  'ScanOptions.step': 'scan of flow.each',
  'StandardSchema.validate': 'a schema',
  'StreamOptions.key': 'key of an operator',
  'TaskSettings.compensate': 'compensate',
  'TaskSettings.result': 'a schema',
  'TaskSettings.tokens': 'tokens',
  'TaskSettings.when': 'when of a task',
  'TaskTypeOptions.run': 'the body of a type',
  'TaskWork.executor': 'an executor',
  'TaskWork.run': 'a body',
  'WorkflowOptions.input': 'the schema of an input',
};

/** Members of the public types that are functions, as TYPE.MEMBER, read from the source: the table shall forget none. */
function publicFunctions(): string[] {
  const found = new Set<string>();
  const entries = readdirSync('lib/entry').map((name) => `lib/entry/${name}`);
  const exported = ['lib/index.ts', ...entries].flatMap((name) =>
    [...readFileSync(name, 'utf8').matchAll(/export(?: type)? \{([^}]*)\} from '(\.[^']+)\.js'/g)].map(
      ([, names = '', from]) => [names, join(dirname(name), `${from}.ts`)] as const,
    ),
  );
  for (const [names, file] of exported) {
    const source = readFileSync(file, 'utf8')
      .replace(/\/\*[\s\S]*?\*\//g, '')
      .replace(/(:?)\n\s+\| /g, (_, colon) => (colon === '' ? ' | ' : ': '));
    const wanted = new Set(names.split(',').map((name) => name.trim().replace('type ', '')));
    for (const block of source.split(/^(?=\w)/m)) {
      const type = /^export (?:interface|type) (\w+)/.exec(block)?.[1] ?? '';
      if (type === '' || !wanted.has(type)) continue;
      const functions =
        /^ +(?:readonly )?'?([\w~]+)'?\??(?:: (?:[^;{]*\| )?\(?\(.*\) =>|: \w+ \| \(\(|<.*>\(|\()/gm;
      const named =
        /^ +readonly (\w+)\??: (?:Backoff|Recipe|Executor|Agent\w*|StandardSchema|CompletionHandler)\b/gm;
      for (const [, member] of [...block.matchAll(functions), ...block.matchAll(named)])
        found.add(`${type}.${member}`);
    }
  }
  return [...found].sort();
}

test('no function of the public types is missing above', () => {
  const all = publicFunctions();
  assert.ok(all.length > 50, 'the source is read');
  const missing = all.filter(
    (name) => !(name in tried) && !Object.values(others).some((one) => one.test(name)),
  );
  assert.equal(missing, [], 'add it to the places of this spec');
  for (const [name, place] of Object.entries(tried)) {
    assert.ok(all.includes(name), name);
    assert.ok(place in places, `${name}: ${place}`);
  }
});

test('what cannot be counted fails, those beside it do not', async () => {
  const countTokens = (text: string): number => {
    if (text.includes('endoftext')) throw new Error('special token');
    return text.length;
  };
  const flow = workflow(llm({ tokensPerMinute: 10_000, countTokens }));
  for (const text of ['hello', 'mean endoftext', 'world']) {
    const source = flow.task(text, { run: () => text });
    flow.task(`ask ${text}`, { group: 'llm', dependencies: { source }, run: () => 1 });
  }
  const { tasks } = await flow.run().result();
  const error = tasks.get('ask mean endoftext')?.error as RxhiveError;
  assert.is(error.code, 'CALLBACK_FAILED');
  assert.match(error.message, /^limiter\.countTokens threw: special token/);
  assert.equal(
    [...tasks.values()].map(({ status }) => status).filter((status) => status === 'failed'),
    ['failed'],
  );
});

test('an Observable that refuses to be torn down is left behind, and stops no other', async () => {
  const flow = workflow({ name: 'teardown' });
  let stopped = 0;
  const deaf = () =>
    new Observable<number>(() => () => {
      throw new Error('no');
    });
  flow.task('first', { run: deaf });
  flow.task('good', { run: () => new Observable<number>(() => () => void stopped++) });
  const run = flow.run();
  const result = run.result();
  run.cancel();
  const { status, report } = await result;
  assert.is(status, 'cancelled');
  assert.is(stopped, 1);
  assert.match(String(report.subscriberErrors?.[0]), /teardown of task "first" threw/);
});

test.run();
