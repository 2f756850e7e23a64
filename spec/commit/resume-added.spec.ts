import { NEVER, of } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { MemoryStore } from '../../lib/entry/stores.js';
import {
  AgentTask,
  human,
  memory,
  optional,
  quorum,
  type Run,
  type RunOptions,
  RxhiveError,
  race,
  type TaskContext,
  typed,
  type Workflow,
  type WorkflowEvent,
  WorkflowOrchestrator,
  type WorkflowResult,
  workflow,
} from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';
import { LateStore } from '../support/late-store.js';

/** Runs until nothing happens any more, dies, goes on, and dies again; the ids of bodies called in each life. */
function twoLives(make: (ran: string[]) => Workflow): [string[], string[], ReadonlyMap<string, string>] {
  const lives: [string[], string[]] = [[], []];
  let store = memory();
  let tasks: ReadonlyMap<string, string> = new Map();
  for (const ran of lives) {
    const scheduler = new SimulationScheduler();
    const run = make(ran).run({ store, runId: 'r', scheduler, durability: 'sync' });
    void run.result();
    scheduler.flush();
    store = memory(store.dump());
    tasks = run.snapshot().tasks;
  }
  return [...lives, tasks];
}

test('what a handler had added and finished is restored, not run again', () => {
  const [first, second, tasks] = twoLives((ran) => {
    const flow = workflow({ name: 'added' });
    const plan = flow.task('plan', { run: () => of(1) });
    flow.task('endless', { run: () => NEVER });
    flow.onTaskComplete(plan, (_, add) =>
      add('added', {
        dependencies: [plan],
        run: () => {
          ran.push('added');
          return of(2);
        },
      }),
    );
    return flow as unknown as Workflow;
  });
  assert.equal(first, ['added']);
  assert.equal(second, []);
  assert.is(tasks.get('added'), 'restored');
});

test('children of a task that failed for good keep their results', async () => {
  const make = (): Workflow => {
    const flow = workflow({ name: 'children' });
    flow.task('parent', {
      run: async (_, ctx) => {
        await ctx.join(ctx.spawn('child', { run: () => 'paid' }));
        throw new Error('after the child');
      },
    });
    return flow as unknown as Workflow;
  };
  const store = memory();
  await make().run({ store, runId: 'r' }).result();
  const result = await make().run({ store, runId: 'r' }).result();
  assert.is(result.tasks.get('child')?.status, 'restored');
  assert.is(result.results.get('child'), 'paid');
  assert.is(result.tasks.get('parent')?.status, 'failed');
  const again = await make().run({ store, runId: 'r', retry: 'failed' }).result();
  assert.is(again.tasks.get('child')?.status, 'restored');
});

interface Played {
  /** Undefined: it was still going on when its process died. */
  readonly result: WorkflowResult | undefined;
  readonly events: readonly WorkflowEvent[];
  /** The store as the process left it. */
  readonly store: MemoryStore;
}

/** One process in virtual time; it dies at `until` ms. */
async function play(
  flow: { run(options: RunOptions): Run },
  store: MemoryStore,
  options: RunOptions & { until?: number; begin?: (run: Run) => unknown } = {},
): Promise<Played> {
  const { until, begin, ...more } = options;
  const scheduler = new SimulationScheduler();
  const run = flow.run({ durability: 'sync', ...more, store, runId: 'r', scheduler } as RunOptions);
  const events: WorkflowEvent[] = [];
  run.events$.subscribe({ next: (event) => events.push(event), error: () => undefined });
  let result: WorkflowResult | undefined;
  void run.result().then((one) => {
    result = one;
  });
  begin?.(run);
  await advance(scheduler, until);
  return { result, events, store: memory(store.dump()) };
}

const statuses = ({ result }: Pick<Played, 'result'>): Record<string, string> =>
  Object.fromEntries([...(result?.tasks ?? [])].map(([id, { status }]) => [id, status]));

const errorOf = ({ result }: Played, id: string): RxhiveError => {
  const error = result?.tasks.get(id)?.error;
  assert.ok(error instanceof Error, `${id} has failed`);
  return error as RxhiveError;
};

const valuesOf = (each: unknown): unknown => (each as { values: unknown } | undefined)?.values;

const rerunOf = ({ events }: Played): string[] =>
  events.flatMap((event) => (event.type === 'run' ? (event.rerun ?? []) : [])).map(({ taskId }) => taskId);

const done = (value: string) => (): string => value;

type Listed = { list: string[] };
type Ctx = TaskContext<Listed>;

/** Three generations; the last one ends with `last`. */
function generations(ran: string[], last: () => unknown): never {
  const flow = workflow({ name: 'generations', state: { list: [] as string[] } });
  const body = (id: string, next?: (ctx: Ctx) => void) => (_: unknown, ctx: Ctx) => {
    ran.push(ctx.replaying === undefined ? id : `${id} again`);
    ctx.update((state) => {
      state.list.push(id);
    });
    next?.(ctx);
    return id;
  };
  const grandchild = (): unknown => {
    ran.push('grandchild');
    return last();
  };
  const child = body('child', (ctx) => ctx.spawn('grandchild', { run: grandchild }));
  flow.task('parent', { run: body('parent', (ctx) => ctx.spawn('child', { run: child as never })) as never });
  return flow as never;
}

test('a closure of a closure comes back by replays of both; their results and writes hold', async () => {
  const ran: string[] = [];
  const first = await play(
    generations(ran, () => NEVER),
    memory(),
    { until: 10 },
  );
  assert.equal(ran.splice(0), ['parent', 'child', 'grandchild']);
  const second = await play(generations(ran, done('grandchild')), first.store);
  assert.equal(ran.splice(0), ['parent again', 'child again', 'grandchild']);
  assert.equal(statuses(second), { parent: 'restored', child: 'restored', grandchild: 'succeeded' });
  assert.equal(second.result?.state, { list: ['parent', 'child'] });
  assert.is(second.result?.status, 'succeeded');
  const replays = second.events.filter((event) => event.type === 'attempt' && event.replay === true);
  assert.equal(
    [...new Set(replays.map((event) => event.type === 'attempt' && event.taskId))],
    ['parent', 'child'],
  );
  const third = await play(generations(ran, done('never called')), second.store);
  assert.equal(ran, []);
  assert.is(third.result?.status, 'succeeded');
});

test('a failed closure of a closure stays failed until retry names it', async () => {
  const ran: string[] = [];
  const fail = (): never => {
    throw new Error('planned');
  };
  const first = await play(generations(ran, fail), memory());
  ran.length = 0;
  const second = await play(generations(ran, done('late')), first.store);
  assert.equal(ran, []);
  assert.is(second.result?.status, 'partial');
  assert.is(errorOf(second, 'grandchild').message, 'planned');
  const third = await play(generations(ran, done('late')), second.store, { retry: 'failed' });
  assert.equal(ran, ['parent again', 'child again', 'grandchild']);
  assert.is(third.result?.status, 'succeeded');
});

for (const how of ['each', 'spawn', 'handler', 'static'] as const) {
  test(`what wrote over a changed task runs again and is lost nowhere: ${how}`, async () => {
    const ran: string[] = [];
    const make = (version: string): never => {
      const flow = workflow({ name: 'over', concurrency: 1, state: { cost: 0 } });
      const pay = (id: string) => (_: unknown, ctx: TaskContext<{ cost: number }>) => {
        ran.push(id);
        ctx.update((state) => {
          state.cost += 1;
        });
        return id;
      };
      flow.task('a', { version, priority: 9, run: pay('a') as never });
      if (how === 'each')
        flow.each('items', { from: ['x', 'y'], run: (id, ctx) => pay(id)(undefined, ctx as never) });
      if (how === 'spawn')
        flow.task('p', {
          run: (_, ctx) => {
            for (const id of ['x', 'y']) ctx.spawn(id, { run: pay(id) as never });
          },
        });
      if (how === 'handler')
        flow.onTaskComplete(flow.task('p', { run: () => 'p' }), (_, add) => {
          for (const id of ['x', 'y']) add(id, { run: pay(id) as never });
        });
      if (how === 'static') for (const id of ['x', 'y']) flow.task(id, { run: pay(id) as never });
      return flow as never;
    };
    const first = await play(make('1'), memory());
    assert.equal(ran.splice(0), ['a', 'x', 'y']);
    const second = await play(make('2'), first.store);
    assert.equal(ran.sort(), ['a', 'x', 'y']);
    assert.equal(second.result?.state, { cost: 3 });
    assert.is(second.result?.status, 'succeeded');
  });
}

for (const how of ['spawn', 'handler', 'type'] as const) {
  test(`rerun of one that was added runs it alone: ${how}`, async () => {
    const ran: string[] = [];
    const make = (): never => {
      const flow = workflow({ name: 'one' });
      const kind = flow.taskType('kind', {
        run: (id: string) => {
          ran.push(id);
          return id;
        },
      });
      const run = (id: string) => (): string => {
        ran.push(id);
        return id;
      };
      const p = flow.task('p', {
        run: (_, ctx) => {
          for (const id of ['k1', 'k2'])
            if (how === 'spawn') ctx.spawn(id, { run: run(id) });
            else if (how === 'type') ctx.spawn(kind, id, id);
          return 'p';
        },
      });
      flow.task('after', { dependencies: { p }, run: run('after') });
      if (how === 'handler')
        flow.onTaskComplete(p, (_, add) => {
          for (const id of ['k1', 'k2']) add(id, { run: run(id) });
        });
      return flow as never;
    };
    const first = await play(make(), memory());
    ran.length = 0;
    const second = await play(make(), first.store, { rerun: ['k1'] });
    assert.equal(ran.splice(0), ['k1']);
    assert.equal(rerunOf(second), ['k1']);
    assert.equal(second.result?.results.size, 4);
    await play(make(), second.store);
    assert.equal(ran, []);
  });
}

test('who joined a task that runs again does so too, and what depends on it', async () => {
  const ran: string[] = [];
  const make = (): never => {
    const flow = workflow({ name: 'joined' });
    const p = flow.task('p', {
      run: async (_, ctx) => {
        ran.push('p');
        return ctx.join(ctx.spawn('k', { run: () => ran.push('k') }));
      },
    });
    flow.task('after', { dependencies: { p }, run: () => ran.push('after') });
    return flow as never;
  };
  const first = await play(make(), memory());
  ran.length = 0;
  const second = await play(make(), first.store, { rerun: ['k'] });
  assert.equal(ran, ['p', 'k', 'after']);
  assert.equal(rerunOf(second).sort(), ['after', 'k', 'p']);
});

test('failed items stay failed; retry runs them, and what came of them', async () => {
  const ran: string[] = [];
  const make = (broken: boolean): never => {
    const flow = workflow({ name: 'items' });
    const each = flow.each('mails', {
      from: ['a', 'b', 'c'],
      keep: true,
      version: '1',
      run: (item) => {
        ran.push(item);
        if (item === 'b' && broken) throw new Error('down');
        return item.toUpperCase();
      },
    });
    flow.task('after', { dependencies: { each }, run: ({ each }) => each.failed });
    return flow as never;
  };
  const first = await play(make(true), memory());
  assert.is(first.result?.status, 'partial');
  ran.length = 0;
  const second = await play(make(true), first.store);
  assert.equal(ran, []);
  assert.is(second.result?.status, 'partial');
  assert.is(second.result?.tasks.get('mails/1')?.status, 'failed');
  const third = await play(make(false), second.store, { retry: 'failed' });
  assert.equal(ran, ['b']);
  assert.is(third.result?.status, 'succeeded');
  assert.equal(valuesOf(third.result?.results.get('mails')), ['A', 'B', 'C']);
  assert.is(third.result?.results.get('after'), 0);
});

test('what an item has added comes back with the item, whose sum holds', async () => {
  const ran: string[] = [];
  const make = (childMs: number): never => {
    const flow = workflow({ name: 'of-items', state: { sum: 0 } });
    flow.each('e', {
      from: [1, 2, 3],
      run: (n, ctx) => {
        ran.push(`${ctx.taskId}${ctx.replaying === undefined ? '' : ' again'}`);
        ctx.update((state) => {
          state.sum += n;
        });
        if (n === 2) ctx.spawn('child', { run: (_, own) => own.sleep(childMs) });
        return n;
      },
    });
    return flow as never;
  };
  const first = await play(make(10_000), memory(), { until: 50 });
  ran.length = 0;
  const second = await play(make(1), first.store);
  assert.equal(ran, ['e/1 again']);
  assert.equal(second.result?.state, { sum: 6 });
  assert.is(second.result?.tasks.get('child')?.status, 'succeeded');
});

test('fail-fast holds when the run goes on', async () => {
  const ran: string[] = [];
  const make = (): never => {
    const flow = workflow({ name: 'fast', failurePolicy: 'fail-fast' });
    flow.task('bad', {
      run: async (_, ctx) => {
        await ctx.sleep(10);
        throw new Error('planned');
      },
    });
    flow.task('slow', {
      run: async (_, ctx) => {
        await ctx.sleep(50);
        ran.push('slow');
      },
    });
    return flow as never;
  };
  const first = await play(make(), memory());
  const second = await play(make(), first.store);
  assert.equal(
    [first, second].map(({ result }) => result?.status),
    ['failed', 'failed'],
  );
  assert.equal(statuses(second), { bad: 'failed', slow: 'cancelled' });
  assert.equal(ran, []);
});

test('what was cancelled alone, lost or skipped has ended', async () => {
  const ran: string[] = [];
  const make = (): never => {
    const flow = workflow({ name: 'ended' });
    flow.task('p', {
      run: async (_, ctx) => {
        ran.push('p');
        const fast = ctx.spawn('fast', { run: (__, own) => own.sleep(1).then(done('fast')) });
        const slow = ctx.spawn('slow', { run: (__, own) => own.sleep(90).then(done('slow')) });
        const bad = ctx.spawn('bad', {
          run: () => {
            throw new Error('planned');
          },
        });
        const alone = ctx.spawn('alone', { run: (__, own) => own.sleep(100) });
        ctx.spawn('behind', { dependencies: { bad }, run: done('behind') });
        return ctx.join({ first: race([fast, slow]), bad: optional(bad), alone: optional(alone) });
      },
    });
    return flow as never;
  };
  const first = await play(make(), memory(), {
    begin: (run) =>
      run.events$.subscribe((event) => {
        if (event.type === 'task' && event.taskId === 'fast' && event.reason === 'succeeded')
          run.cancelTask('alone');
      }),
  });
  ran.length = 0;
  const second = await play(make(), first.store);
  assert.equal(ran, []);
  const expected = { p: 'restored', alone: 'cancelled', fast: 'restored', slow: 'cancelled', bad: 'failed' };
  assert.equal(statuses(second), { ...expected, behind: 'skipped' });
  assert.equal(second.result?.tasks.get('behind')?.skippedBecause, ['bad']);
  assert.is(second.result?.status, first.result?.status);
});

test('tasks of a type come back by themselves: from a body, a handler, and from outside', async () => {
  const ran: string[] = [];
  let waits = true;
  const make = (): never => {
    const flow = workflow({ name: 'typed' });
    const kind = flow.taskType('kind', {
      run: (data: { text: string }, ctx, inputs) => {
        ran.push(data.text);
        return waits && data.text.endsWith('2')
          ? ctx.sleep(1_000)
          : of([data.text, ...Object.values(inputs)].join());
      },
    });
    const p = flow.task('p', {
      run: (_, ctx) => {
        ran.push('p');
        const first = ctx.spawn(kind, 'b1', { text: 'b1' });
        ctx.spawn(kind, 'b2', { text: 'b2' }, { dependencies: { first }, priority: 3 });
        return 'p';
      },
    });
    flow.onTaskComplete(p, (_, add) => {
      ran.push('handler');
      add(kind, 'h1', { text: 'h1' });
      add(kind, 'h2', { text: 'h2' });
    });
    return Object.assign(flow, { kind }) as never;
  };
  type Kinded = { kind: never };
  const outside = (flow: Kinded) => (run: Run) => {
    run.task(flow.kind, 'o1', { text: 'o1' } as never);
    run.task(flow.kind, 'o2', { text: 'o2' } as never);
  };
  const one = make() as Kinded & { run(options: RunOptions): Run };
  const first = await play(one, memory(), { until: 100, begin: outside(one) });
  assert.equal(ran.splice(0).sort(), ['b1', 'b2', 'h1', 'h2', 'handler', 'o1', 'o2', 'p']);
  waits = false;
  const second = await play(make(), first.store);
  assert.equal(ran.splice(0).sort(), ['b2', 'h2', 'o2']);
  assert.is(second.result?.status, 'succeeded');
  assert.is(second.result?.results.get('b2'), 'b2,b1');
  assert.equal(second.result?.results.size, 7);
  // Who adds them again gets those that are there.
  const two = make() as Kinded & { run(options: RunOptions): Run };
  const third = await play(two, second.store, {
    keepOpen: true,
    begin: (run) => {
      outside(two)(run);
      run.close();
    },
  });
  assert.equal(ran, []);
  assert.is(third.result?.results.get('o1'), 'o1');
});

test('a type that changed makes its tasks run again; one that is gone is named', async () => {
  const make = (version: string | undefined, ran: string[]): never => {
    const flow = workflow({ name: 'types' });
    const kind =
      version === undefined
        ? undefined
        : flow.taskType('kind', { version, run: (id: string) => ran.push(id) });
    flow.task('p', {
      version: '1',
      run: (_, ctx) => {
        ran.push('p');
        if (kind !== undefined) for (const id of ['a', 'b']) ctx.spawn(kind, id, id);
      },
    });
    return flow as never;
  };
  const first = await play(make('1', []), memory());
  const ran: string[] = [];
  const second = await play(make('2', ran), first.store);
  assert.equal(ran.sort(), ['a', 'b']);
  assert.equal(rerunOf(second).sort(), ['a', 'b']);
  // What has ended needs no body; what has not is named.
  const third = await play(make(undefined, ran), second.store);
  assert.is(third.result?.results.size, 3);
  const died = await play(make('3', []), second.store, { until: 0, rerun: ['a'] });
  void died;
});

test('what a type cannot be is said before anything starts', () => {
  const flow = workflow({ name: 'refused' });
  flow.taskType('kind', { run: () => 1 });
  for (const [name, options] of [
    ['kind', { run: () => 1 }],
    ['', { run: () => 1 }],
    ['other', { run: 1 }],
    ['other', undefined],
  ] as const)
    assert.throws(
      () => flow.taskType(name, options as never),
      (error: unknown) => error instanceof RxhiveError && error.code === 'INVALID_OPTION',
    );
});

test('data that cannot be stored fail who adds them; a type of another workflow is refused', async () => {
  const other = workflow({ name: 'other' }).taskType('theirs', { run: (_: unknown) => 1 });
  const flow = workflow({ name: 'data' });
  const kind = flow.taskType('kind', { run: (_: unknown) => 1 });
  flow.task('bad', { run: (_, ctx) => void ctx.spawn(kind, 'k', () => 1) });
  flow.task('foreign', { run: (_, ctx) => void ctx.spawn(other, 'f', 1) });
  const played = await play(flow as never, memory());
  const codes = ['bad', 'foreign'].map((id) => errorOf(played, id).code);
  assert.equal(codes, ['NOT_SERIALIZABLE', 'INVALID_OPTION']);
  const run = flow.run({ store: memory(), runId: 'x', keepOpen: true });
  const ended = run.result();
  assert.throws(
    () => run.task(kind, 'o', () => 1),
    (error: unknown) => error instanceof RxhiveError && error.code === 'NOT_SERIALIZABLE',
  );
  run.close();
  await ended;
});

test('agent tasks of handlers and from outside come back without either', async () => {
  const ran: string[] = [];
  let stuck = true;
  const make = (
    handled: boolean,
  ): WorkflowOrchestrator<Record<string, (task: { id: string; data: unknown }) => unknown>> => {
    const orchestrator = new WorkflowOrchestrator({
      agents: {
        plan: () => 3,
        work: ({ id, data }: { id: string; data: unknown }) => {
          ran.push(id);
          if (stuck && id === 'w2') throw new Error('down');
          return data;
        },
      },
    });
    orchestrator.addTask(new AgentTask({ id: 'plan', agentType: 'plan' }));
    orchestrator.onTaskComplete('plan', (count, add) => {
      assert.ok(handled, 'the handler is called again');
      for (let i = 0; i < (count as number); i++)
        add(
          new AgentTask({
            id: `w${i}`,
            agentType: 'work',
            data: { i },
            priority: i,
            dependencies: i === 0 ? ['plan'] : ['plan', { id: `w${i - 1}`, mode: 'optional' }],
          }),
        );
    });
    return orchestrator as never;
  };
  const store = memory();
  const first = await make(true).executeWorkflow({ store, runId: 'a' });
  assert.is(first.status, 'partial');
  ran.length = 0;
  stuck = false;
  const second = await make(false).executeWorkflow({ store, runId: 'a', retry: 'failed' });
  assert.equal(ran, ['w2']);
  assert.equal(second.results.get('w2'), { i: 2 });
  assert.is(second.status, 'succeeded');
});

test('a replay has the committed value, its writes and values are ignored, and it stops when all is back', async () => {
  const seen: unknown[] = [];
  const make = (childMs: number): never => {
    const flow = workflow({ name: 'replay', state: { list: [] as string[] } });
    flow.task('planner', {
      run: async (_, ctx) => {
        seen.push(ctx.replaying);
        ctx.update((state) => {
          state.list.push('planned');
        });
        const plan = (ctx.replaying?.value as string[] | undefined) ?? ['a', 'b'];
        ctx.usage({ inputTokens: 7 });
        for (const id of plan) ctx.spawn(id, { run: (__, own) => own.sleep(childMs).then(done(id)) });
        await ctx.sleep(5);
        if (ctx.replaying !== undefined) seen.push('went on');
        return plan;
      },
    });
    return flow as never;
  };
  const first = await play(make(10_000), memory(), { until: 50 });
  const second = await play(make(1), first.store);
  assert.equal(seen, [undefined, { value: ['a', 'b'] }]);
  assert.equal(second.result?.state, { list: ['planned'] });
  assert.equal(second.result?.results.get('planner'), ['a', 'b']);
  assert.is(second.result?.tasks.get('planner')?.usage.inputTokens, 14);
  assert.is(second.result?.results.get('b'), 'b');
});

test('a body that does not add a task again is a named fault, told once', async () => {
  let calls = 0;
  const make = (adds: boolean, fails = false): never => {
    const flow = workflow({ name: 'missing' });
    flow.task('p', {
      version: '1',
      run: (_, ctx) => {
        calls += 1;
        if (fails) throw new Error('no plan');
        if (adds) ctx.spawn('child', { run: () => NEVER });
        return 'p';
      },
    });
    return flow as never;
  };
  const first = await play(make(true), memory(), { until: 10 });
  for (const fails of [false, true]) {
    const second = await play(make(false, fails), memory(first.store.dump()));
    assert.is(second.result?.status, 'partial');
    assert.is(second.result?.results.get('p'), 'p');
    const error = errorOf(second, 'child');
    assert.is(error.code, 'CHILD_MISSING');
    assert.match(error.message, '"p"');
    if (fails) assert.is((error.cause as Error).message, 'no plan');
    calls = 0;
    const third = await play(make(false), second.store);
    assert.is(third.result?.status, 'partial');
    assert.is(calls, 0);
  }
});

test('attempts, their backoff and the retry budget go on over processes', async () => {
  const tried: [number, number][] = [];
  const make = (): never => {
    const flow = workflow({ name: 'tries', retryBudget: 3 });
    flow.task('t', {
      retry: { count: 9, backoff: () => 100 },
      run: (_, ctx) => {
        tried.push([ctx.attempt, tried.length]);
        throw new Error('down');
      },
    });
    return flow as never;
  };
  let store = memory();
  let last: Played | undefined;
  for (let process = 0; process < 5 && last?.result === undefined; process++) {
    last = await play(make(), store, { until: 50 });
    store = last.store;
  }
  // Each process goes on with what was left of the pause: none of them lives long enough for another attempt.
  assert.equal(tried, [[1, 0]]);
  last = await play(make(), store);
  assert.equal(
    tried.map(([attempt]) => attempt),
    [1, 2, 3, 4],
  );
  assert.is(last.result?.tasks.get('t')?.status, 'failed');
});

for (const [lost, most] of [
  [undefined, 3],
  [2, 2],
] as const) {
  test(`a task that ends its process over and over ends failed: ${most} times`, async () => {
    let calls = 0;
    const make = (): never => {
      const flow = workflow({ name: 'poison' });
      flow.task('poison', {
        ...(lost !== undefined && { retry: { count: 0, lost } }),
        run: () => {
          calls += 1;
          return NEVER;
        },
      });
      const slow = flow.task('others', { run: (_, ctx) => ctx.sleep(400) });
      flow.task('after', { dependencies: [slow], run: done('after') });
      return flow as never;
    };
    let store = memory();
    let last = await play(make(), store, { until: 160 });
    let processes = 1;
    for (; last.result === undefined && processes < 20; processes++) {
      store = last.store;
      last = await play(make(), store, { until: 160 });
    }
    assert.is(calls, most);
    const error = errorOf(last, 'poison');
    assert.is(error.code, 'ATTEMPT_LOST');
    const again = await play(make(), last.store, { retry: 'failed', until: 160 });
    assert.is(again.result, undefined);
    assert.is(calls, most + 1);
  });
}

test('a body knows that an earlier process had begun with its task', async () => {
  const told: string[] = [];
  const make = (): never => {
    const flow = workflow({ name: 'restarted' });
    const note = (ctx: TaskContext): void => {
      told.push(`${ctx.taskId} ${ctx.attempt} ${ctx.restarted}`);
    };
    const begins = (id: string, ms: number) =>
      flow.task(id, {
        retry: { count: 1, backoff: () => 5 },
        run: async (_, ctx) => {
          note(ctx);
          if (id === 'fails' && ctx.attempt === 1) throw new Error('once');
          await ctx.sleep(ms);
        },
      });
    const quick = begins('quick', 10);
    begins('long', 200);
    begins('fails', 1_000);
    flow.task('behind', {
      dependencies: { quick, long: begins('first', 150) },
      run: (_, ctx) => note(ctx),
    });
    return flow as never;
  };
  const first = await play(make(), memory(), { until: 120 });
  assert.equal(told.splice(0), [
    'quick 1 false',
    'first 1 false',
    'long 1 false',
    'fails 1 false',
    'fails 2 false',
  ]);
  const second = await play(make(), first.store);
  assert.is(second.result?.status, 'succeeded');
  assert.equal(told, ['first 1 true', 'long 1 true', 'fails 2 true', 'behind 1 false']);
});

test('who waits for a person when the process ends is no poison, and nothing runs once per answer', async () => {
  const calls: Record<string, number> = {};
  const count = (id: string): void => {
    calls[id] = (calls[id] ?? 0) + 1;
  };
  const make = () => {
    const flow = workflow({ name: 'asks' });
    const plan = flow.task('plan', {
      run: (_, ctx) => {
        count('plan');
        ctx.spawn('bad', {
          run: () => {
            count('bad');
            throw new Error('404');
          },
        });
      },
    });
    const mail = flow.task('mail', { dependencies: { plan }, run: () => count('mail') });
    flow.task('gate', {
      dependencies: { mail },
      run: async (_, ctx) => {
        const said: boolean[] = [];
        for (const key of ['a', 'b', 'c', 'd', 'e'])
          said.push(await ctx.ask(human(typed<boolean>(), { key, prompt: key })));
        return said;
      },
    });
    return flow;
  };
  const store = memory();
  let result = await make().run({ store, runId: 'r', suspend: 'exit' }).result();
  for (const key of ['a', 'b', 'c', 'd', 'e']) result = await make().answer(store, 'r', `gate?${key}`, true);
  assert.equal(calls, { plan: 1, bad: 1, mail: 1 });
  assert.is(result.status, 'partial');
  assert.equal(result.results.get('gate'), [true, true, true, true, true]);
});

test('two results of a race stay both when a handler adds their tasks again', async () => {
  const make = () => {
    const flow = workflow({ name: 'race' });
    const plan = flow.task('plan', { run: () => 1 });
    flow.onTaskComplete(plan, (_, add) => {
      const members = ['a', 'b'].map((id) => add(id, { run: (_, ctx) => ctx.sleep(2) }));
      add('first', { dependencies: [race(members)], run: (_, ctx) => ctx.sleep(50) });
    });
    return flow;
  };
  const scheduler = new SimulationScheduler();
  // While the result of the one is written the other one ends: nobody has won yet.
  const store = new LateStore(memory(), scheduler);
  store.auto = () => 7;
  void make().run({ store, runId: 'r', durability: 'sync', scheduler }).result();
  await advance(scheduler, 40);
  const later = new SimulationScheduler();
  const end = make()
    .run({ store: memory(store.inner.dump()), runId: 'r', scheduler: later })
    .result();
  await advance(later);
  const { status, tasks } = await end;
  assert.is(status, 'succeeded');
  assert.equal([...tasks].map(([id, one]) => `${id} ${one.status}`).sort(), [
    'a restored',
    'b restored',
    'first succeeded',
    'plan restored',
  ]);
});

for (const how of ['at once', 'after a death', 'after a death and compaction'] as const)
  test(`who had succeeded before a quorum failed, and runs again, is not stopped by that: ${how}`, async () => {
    const make = () => {
      const flow = workflow({ name: 'decided', state: { sum: 0 } });
      const good = flow.task('good', {
        run: async (_, ctx) => {
          await ctx.join(ctx.spawn('child', { run: (__, own) => own.sleep(1) }));
          ctx.update((state) => {
            state.sum += 1;
          });
        },
      });
      const bad = flow.task('bad', {
        run: (_, ctx) => ctx.sleep(5).then(() => Promise.reject(new Error('down'))),
      });
      flow.task('both', { dependencies: [quorum(2, [good, bad])], run: () => 'both' });
      return flow;
    };
    const scheduler = new SimulationScheduler();
    let store = memory();
    const goOn = (options: Pick<RunOptions, 'rerun'>) =>
      make().run({ store, runId: 'r', durability: 'sync', scheduler, ...options });
    const first = goOn({}).result();
    await advance(scheduler);
    assert.equal(statuses({ result: await first }), {
      good: 'succeeded',
      child: 'succeeded',
      bad: 'failed',
      both: 'skipped',
    });
    let last = goOn({ rerun: ['good'] });
    if (how !== 'at once') {
      void last.result();
      scheduler.run(0);
      store = memory(store.dump());
      if (how !== 'after a death') await make().compact(store, 'r', { keep: 0 });
      last = goOn({});
    }
    const end = last.result();
    await advance(scheduler);
    const result = await end;
    assert.equal(statuses({ result }), {
      good: 'succeeded',
      child: 'succeeded',
      bad: 'failed',
      both: 'skipped',
    });
    assert.equal([result.status, result.state], ['partial', { sum: 1 }]);
  });

test('what a task had added and finished is kept where the log lets that task lose a race', async () => {
  const make = () => {
    const flow = workflow({ name: 'loser' });
    const quick = flow.task('quick', { run: (_, ctx) => ctx.sleep(5) });
    const slow = flow.task('slow', {
      run: async (_, ctx) => {
        await ctx.join(ctx.spawn('child', { run: () => 'found' }));
        await ctx.sleep(50);
      },
    });
    const items = flow.each('items', {
      from: ['bad', 'late'],
      run: (item, ctx) => (item === 'bad' ? Promise.reject(new Error(item)) : ctx.sleep(50)),
    });
    flow.task('first', { dependencies: [race([quick, slow, items])], run: () => 'first' });
    return flow;
  };
  const whole = memory();
  const scheduler = new SimulationScheduler();
  const undisturbed = make().run({ store: whole, runId: 'r', durability: 'sync', scheduler }).result();
  await advance(scheduler);
  const { status } = await undisturbed;
  const bodies = whole.read('r').map(({ body }) => body);
  const end = bodies.findIndex((body) => body.startsWith('{"kind":"commit","task":"quick"')) + 1;
  const store = memory();
  const log = store.open('r');
  log.append(bodies.slice(0, end).map((body, i) => ({ seq: i + 1, body })));
  log.close();
  const goesOn = make().run({ store, runId: 'r' });
  const result = await goesOn.result();
  assert.is(result.results.get('child'), 'found');
  assert.is(result.tasks.get('slow')?.status, 'cancelled');
  // The item that failed has failed.
  assert.equal([status, result.status], ['partial', 'partial']);
});

test('a child that wrote over what runs again does so too where a handler had added who adds it', async () => {
  const make = () => {
    const flow = workflow({ name: 'over', state: { sum: 0 } });
    const add = (_: unknown, ctx: TaskContext<{ sum: number }>): void =>
      ctx.update((state) => {
        state.sum += 1;
      });
    const plan = flow.task('plan', { run: (_, ctx) => ctx.join(ctx.spawn('joined', { run: add })) });
    flow.onTaskComplete(plan, (_, more) => {
      more('added', {
        run: (_, ctx) => {
          ctx.spawn('child', { run: add });
        },
      });
    });
    return flow;
  };
  const store = memory();
  assert.equal((await make().run({ store, runId: 'r' }).result()).state, { sum: 2 });
  const again = await make()
    .run({ store, runId: 'r', rerun: ['joined'] })
    .result();
  assert.is(again.tasks.get('child')?.status, 'succeeded');
  assert.equal(again.state, { sum: 2 });
});

test('who went on without a task that was skipped runs again once that task can', async () => {
  const make = (broken: boolean) => {
    const flow = workflow({ name: 'skipped' });
    const source = flow.task('source', {
      version: '1',
      run: () => (broken ? Promise.reject(new Error('down')) : 'up'),
    });
    const behind = flow.task('behind', { dependencies: [source], run: () => 'behind' });
    flow.task('report', { dependencies: [optional(behind)], run: ([one]) => one ?? 'nothing' });
    return flow;
  };
  const store = memory();
  const first = await make(true).run({ store, runId: 'r' }).result();
  assert.is(first.results.get('report'), 'nothing');
  const second = await make(false).run({ store, runId: 'r', retry: 'failed' }).result();
  assert.equal([second.status, second.results.get('report')], ['succeeded', 'behind']);
});

test('what lies below a task that its edited adder does not add any more is named at once', async () => {
  const make = (version: string): never => {
    const flow = workflow({ name: 'below' });
    flow.task('p', {
      version,
      run: async (_, ctx) => {
        if (version === '2') return 'p';
        const child = ctx.spawn('child', {
          version: '1',
          run: (__, own) => {
            own.spawn('below', { version: '1', run: () => NEVER });
            return 'child';
          },
        });
        await ctx.join(child);
        return ctx.sleep(10_000);
      },
    });
    return flow as never;
  };
  const first = await play(make('1'), memory(), { until: 50 });
  const second = await play(make('2'), first.store);
  assert.equal(statuses(second), { p: 'succeeded', child: 'restored', below: 'failed' });
  assert.is(errorOf(second, 'below').code, 'CHILD_MISSING');
  assert.equal(statuses(await play(make('2'), second.store)), {
    p: 'restored',
    child: 'restored',
    below: 'failed',
  });
});

test('what a replay returns is ignored, and so is whether it fits the schema', async () => {
  const make = (childMs: number): never => {
    const flow = workflow({ name: 'returns' });
    const p = flow.task('p', {
      version: '1',
      run: (_, ctx) => {
        ctx.spawn('child', { run: (__, own) => own.sleep(childMs) });
        return ctx.replaying === undefined ? 'first' : 'second';
      },
    });
    flow.task('after', { dependencies: { p }, run: ({ p }) => p });
    return flow as never;
  };
  const first = await play(make(10_000), memory(), { until: 10 });
  const second = await play(make(1), first.store);
  assert.is(second.result?.results.get('p'), 'first');
  assert.is(second.result?.results.get('after'), 'first');
  const third = await play(make(1), second.store);
  assert.is(third.result?.results.get('p'), 'first');
});

for (const how of ['type', 'closure', 'each'] as const)
  test(`what a task that runs again had added runs again: ${how}`, async () => {
    const ran: string[] = [];
    const make = (version: string): never => {
      const flow = workflow({ name: 'again', state: { sum: 0 } });
      const count = (ctx: unknown): void => {
        ran.push('k');
        (ctx as TaskContext<{ sum: number }>).update((state) => {
          state.sum += 1;
        });
      };
      const kind = flow.taskType('kind', {
        version: '1',
        run: (_: string, ctx) => count(ctx),
      });
      if (how === 'each') flow.each('p', { version, from: ['x'], run: (_, ctx) => count(ctx) });
      else
        flow.task('p', {
          version,
          run: (_, ctx) => {
            if (how === 'type') ctx.spawn(kind, 'k', 'k');
            else ctx.spawn('k', { version: '1', run: (__, own) => count(own) });
          },
        });
      return flow as never;
    };
    const first = await play(make('1'), memory());
    const second = await play(make('2'), first.store);
    assert.equal(ran, ['k', 'k']);
    assert.equal(second.result?.state, { sum: 1 });
    assert.ok(rerunOf(second).includes(how === 'each' ? 'p/0' : 'k'));
  });

test.run();
