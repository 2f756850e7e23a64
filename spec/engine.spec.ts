import { catchError, firstValueFrom, from, interval, map, NEVER, Observable, of, take, toArray } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AgentTask,
  latest,
  optional,
  orElse,
  PartialWorkflowError,
  RxhiveError,
  runWorkflow,
  settled,
  type Task,
  TaskTimeoutError,
  typed,
  WorkflowCancelledError,
  WorkflowDefinitionError,
  WorkflowOrchestrator,
  workflow,
} from '../lib/index.js';

const boom = (): never => {
  throw new Error('boom');
};

const codeOf = (error: unknown): string | undefined =>
  error instanceof RxhiveError ? error.code : undefined;

test('inputs have the shape of the dependencies', async () => {
  const flow = workflow({ name: 'shapes' });
  const one = flow.task('one', { run: () => 1 });
  const two = flow.task('two', { dependencies: { one }, run: async ({ one }) => one + 1 });
  const three = flow.task('three', { dependencies: [one, two], run: ([a, b]) => from([a, b, a + b]) });
  const result = await flow.run().result();
  assert.is(result.status, 'succeeded');
  assert.is(result.results.get(three), 3);
  assert.is(result.orThrow(), result);
});

test('a failed task skips what needs it, names the cause, and nothing else', async () => {
  const flow = workflow({ name: 'partial' });
  const bad = flow.task('bad', { run: boom });
  const child = flow.task('child', { dependencies: [bad], run: () => 1 });
  flow.task('grandchild', { dependencies: [child], run: () => 1 });
  const soft = flow.task('soft', {
    dependencies: { a: optional(bad), b: settled(bad), c: orElse(bad, 7) },
    run: ({ a, b, c }) => [a, b.status, c],
  });
  const result = await flow.run().result();
  assert.is(result.status, 'partial');
  assert.equal(result.tasks.get('grandchild')?.skippedBecause, ['bad']);
  assert.equal(result.results.get(soft), [undefined, 'failed', 7]);
  assert.throws(
    () => result.orThrow(),
    (error: unknown) => error instanceof PartialWorkflowError && error.failed.has('bad'),
  );
});

test('all faults are reported together, a cycle with its path', () => {
  const orchestrator = new WorkflowOrchestrator({ agents: { work: () => 1 } });
  orchestrator.addTask(new AgentTask({ id: 'a', agentType: 'work', dependencies: ['b'] }));
  orchestrator.addTask(new AgentTask({ id: 'b', agentType: 'work', dependencies: ['a'] }));
  orchestrator.addTask(new AgentTask({ id: 'b', agentType: 'work', priority: Number.NaN }));
  orchestrator.addTask(
    // @ts-expect-error no such group
    new AgentTask({ id: 'c', agentType: 'work', dependencies: ['nobody'], concurrencyGroup: 'none' }),
  );
  return orchestrator.executeWorkflow().then(
    () => assert.unreachable(),
    (error: unknown) => {
      assert.instance(error, WorkflowDefinitionError);
      const kinds = (error as WorkflowDefinitionError).faults.map((fault) => fault.kind).sort();
      assert.equal(kinds, ['bad-number', 'cycle', 'duplicate-id', 'unknown-dependency', 'unknown-group']);
      const cycle = (error as WorkflowDefinitionError).faults.find((fault) => fault.kind === 'cycle');
      assert.is(cycle?.path?.length, 3);
    },
  );
});

test('strange ids work or are refused', async () => {
  const flow = workflow({ name: 'ids' });
  const ids = ['__proto__', 'constructor', 'toString', '\u{1f41d}', ' '];
  const tasks = ids.map((id) => flow.task(id, { run: () => id }));
  const record = Object.fromEntries(ids.map((id, i) => [id, tasks[i] as Task<string>]));
  const all = flow.task('all', { dependencies: record, run: (inputs) => Object.keys(inputs).length });
  const result = await flow.run().result();
  assert.is(result.results.get(all), ids.length);
  for (const id of ['', 'x'.repeat(10_000)]) {
    const refused = workflow({ name: 'refused' });
    refused.task(id, { run: () => 1 });
    assert.throws(
      () => refused.run(),
      (error: unknown) => error instanceof WorkflowDefinitionError,
    );
  }
});

test('retry follows count, retryIf and isRetryable', async () => {
  const flow = workflow({ name: 'retry', retry: { count: 5, backoff: { initial: 0 } } });
  const tries: Record<string, number> = {};
  const failing = (id: string, facts: object): unknown =>
    flow.task(id, {
      run: () => {
        tries[id] = (tries[id] ?? 0) + 1;
        throw Object.assign(new Error(id), facts);
      },
    });
  failing('plain', {});
  failing('marked', { isRetryable: false });
  failing('gone', { status: 404 });
  failing('limited', { status: 429 });
  await flow.run().result();
  assert.equal(tries, { plain: 6, marked: 1, gone: 1, limited: 6 });
});

test('timeouts end bodies that ignore their signal, and late writes have no effect', async () => {
  const flow = workflow({ name: 'late', state: { writes: 0 } });
  let late: unknown;
  let tried = (): void => undefined;
  const hasTried = new Promise<void>((done) => {
    tried = done;
  });
  flow.task('deaf', {
    timeout: 10,
    run: (_, ctx) =>
      new Promise((done) => {
        setTimeout(() => {
          try {
            ctx.update((state) => {
              state.writes += 1;
            });
          } catch (error) {
            late = error;
          }
          done(1);
          tried();
        }, 30);
      }),
  });
  flow.task('idle', { timeout: { idle: 10 }, run: () => NEVER });
  flow.task('wait', { run: () => hasTried });
  const result = await flow.run().result();
  assert.instance(result.tasks.get('deaf')?.error, TaskTimeoutError);
  assert.is((result.tasks.get('idle')?.error as TaskTimeoutError | undefined)?.kind, 'idle');
  assert.is((late as RxhiveError).code, 'ATTEMPT_ENDED');
  assert.equal(result.state, { writes: 0 });
});

test('cancel reaches every running task with a typed reason', async () => {
  const flow = workflow({ name: 'cancel' });
  const reasons: unknown[] = [];
  for (let i = 0; i < 5; i++) {
    flow.task(`t${i}`, {
      run: (_, ctx) => {
        ctx.signal.addEventListener('abort', () => reasons.push(ctx.signal.reason));
        return NEVER;
      },
    });
  }
  const run = flow.run();
  const done = run.result();
  run.cancel();
  const result = await done;
  assert.is(result.status, 'cancelled');
  assert.is(reasons.length, 5);
  assert.ok(reasons.every((reason) => reason instanceof WorkflowCancelledError));
});

test('unsubscribing cancels, and async generators run their finally', async () => {
  const flow = workflow({ name: 'leave' });
  let cleaned = false;
  flow.task('stream', {
    run: async function* (_, ctx) {
      try {
        for (let i = 0; ; i++) {
          yield i;
          await ctx.sleep(1);
        }
      } finally {
        cleaned = true;
      }
    },
  });
  const run = flow.run();
  run.subscribe().unsubscribe();
  const result = await run.result();
  assert.is(result.status, 'cancelled');
  const again = flow.run();
  const watching = again.subscribe();
  await new Promise((done) => setTimeout(done, 10));
  watching.unsubscribe();
  await new Promise((done) => setTimeout(done, 10));
  assert.ok(cleaned);
});

test('concurrency 1 with 1,000 spawned and joined tasks runs all', async () => {
  const flow = workflow({ name: 'spawn', concurrency: 1 });
  const parent = flow.task('parent', {
    run: async (_, ctx) => {
      const children = Array.from({ length: 1_000 }, (_, i) =>
        ctx.spawn(`child-${i}`, { run: async () => i }),
      );
      const values = await ctx.join(children);
      return values.reduce((sum, n) => sum + n, 0);
    },
  });
  const result = await flow.run().result();
  assert.is(result.results.get(parent), 499_500);
});

test('a join that could never end is refused', async () => {
  const flow = workflow({ name: 'knot' });
  const parent: Task<unknown> = flow.task('parent', {
    run: (_, ctx): Promise<unknown> => ctx.join(ctx.spawn('child', { dependencies: [parent], run: () => 1 })),
  });
  const result = await flow.run().result();
  assert.is(codeOf(result.tasks.get('parent')?.error), 'JOIN_CYCLE');
});

test('maxTasks stops a runaway planner', async () => {
  const flow = workflow({ name: 'runaway', maxTasks: 50 });
  const grow = (depth: number) => (_: unknown, ctx: { spawn(id: string, task: never): unknown }) => {
    ctx.spawn(`t${depth}`, { run: grow(depth + 1) } as never);
  };
  flow.task('seed', { run: grow(0) });
  const result = await flow.run().result();
  assert.is(result.tasks.size, 50);
  assert.is(result.report.counts.failed, 1);
});

test('handlers add tasks to the same commit; one that throws fails its task', async () => {
  const flow = workflow({ name: 'handlers' });
  const plan = flow.task('plan', { run: () => ['x', 'y'] });
  flow.onTaskComplete(plan, async (steps, add) => {
    for (const step of steps) add(`do_${step}`, { dependencies: [plan], run: () => step });
  });
  const bad = flow.task('bad', { run: () => 1 });
  flow.onTaskComplete(bad, boom);
  const result = await flow.run().result();
  assert.is(result.results.get('do_y'), 'y');
  assert.is(codeOf(result.tasks.get('bad')?.error), 'HANDLER_FAILED');
});

test('latest joins see values while they stream, without glitches', async () => {
  const flow = workflow({ name: 'diamond' });
  const source = flow.task('source', { run: () => interval(2).pipe(take(5)) });
  const left = flow.task('left', {
    dependencies: { source: latest(source) },
    run: (in$) => in$.pipe(map((i) => i.source * 10)),
  });
  const right = flow.task('right', {
    dependencies: { source: latest(source) },
    run: (in$) => in$.pipe(map((i) => i.source * 100)),
  });
  const both = flow.task('both', {
    dependencies: { left: latest(left), right: latest(right) },
    run: (in$) => in$.pipe(map((i) => i.right - 10 * i.left)),
  });
  const run = flow.run();
  const seen = firstValueFrom(run.values$(both).pipe(toArray()));
  await run.result();
  assert.equal([...new Set(await seen)], [0]);
  assert.is((await seen).length, 5);
});

test('a throwing subscriber harms nobody', async () => {
  const flow = workflow({ name: 'thrower' });
  const task = flow.task('task', { run: async () => 1 });
  const run = flow.run();
  run.events$.subscribe(boom);
  run.result$(task).pipe(map(boom)).subscribe();
  const result = await run.result();
  assert.is(result.status, 'succeeded');
  assert.ok(result.report.subscriberErrors.length > 0);
});

test('runWorkflow is an operator with backpressure', async () => {
  const flow = workflow({ name: 'operator', input: typed<number>() });
  const twice = flow.task('twice', { run: async (_, ctx) => ctx.input * 2 });
  const results = await firstValueFrom(
    from([1, 2, 3]).pipe(runWorkflow(flow, { concurrency: 2 }), toArray()),
  );
  assert.equal(results.map((result) => result.results.get(twice)).sort(), [2, 4, 6]);
});

test('runWorkflow never buffers more than its capacity, and unsubscribing cancels its runs', async () => {
  const flow = workflow({ name: 'full', input: typed<number>() });
  let aborted = 0;
  flow.task('hang', {
    run: (_, ctx) => {
      ctx.signal.addEventListener('abort', () => {
        aborted += 1;
      });
      return NEVER;
    },
  });
  const failed = await firstValueFrom(
    from([1, 2, 3, 4]).pipe(
      runWorkflow(flow, { concurrency: 1, capacity: 2 }),
      catchError((error: unknown) => of(codeOf(error))),
    ),
  );
  assert.is(failed, 'LIMIT_EXCEEDED');
  assert.is(aborted, 1);
  from([1, 2, 3])
    .pipe(runWorkflow(flow, { concurrency: 2 }))
    .subscribe()
    .unsubscribe();
  assert.is(aborted, 3);
});

test('limits change while running and a full group blocks no other', async () => {
  const flow = workflow({ name: 'groups', concurrency: 4, groups: { slow: { concurrency: 1 } } });
  let most = 0;
  let now = 0;
  for (let i = 0; i < 6; i++) {
    flow.task(`slow${i}`, {
      group: 'slow',
      run: async (_, ctx) => {
        now += 1;
        most = Math.max(most, now);
        await ctx.sleep(5);
        now -= 1;
      },
    });
  }
  const other = flow.task('other', { run: () => 1 });
  const run = flow.run();
  const order: string[] = [];
  run.events$.subscribe((event) => {
    if (event.type === 'task' && event.reason === 'succeeded') order.push(event.taskId);
  });
  run.result$(other).subscribe(() => run.setGroupConcurrency('slow', 3));
  await run.result();
  assert.is(order[0], 'other');
  assert.is(most, 3);
});

test('100,000 in a chain, in a fan-in, and synchronous complete', async () => {
  const n = 100_000;
  for (const shape of ['chain', 'fan']) {
    const flow = workflow({ name: shape, concurrency: 50 });
    const all: Task<number>[] = [];
    for (let i = 0; i < n; i++) {
      const before = shape === 'chain' && i > 0 ? [all[i - 1] as Task<number>] : [];
      all.push(flow.task(`t${i}`, { dependencies: before, run: () => i }));
    }
    const end = flow.task('end', { dependencies: all, run: (values) => values.length });
    const result = await flow.run().result();
    assert.is(result.results.get(end), n);
  }
});

test('tasks are added from outside while the run is kept open', async () => {
  const flow = workflow({ name: 'open' });
  const first = flow.task('first', { run: async () => 1 });
  const run = flow.run({ keepOpen: true });
  const done = run.result();
  await firstValueFrom(run.result$(first));
  const second = run.task('second', { dependencies: { first }, run: ({ first }) => first + 1 });
  run.close();
  assert.is((await done).results.get(second), 2);
  assert.throws(
    () => run.task('third', { run: () => 1 }),
    (error: unknown) => (error as RxhiveError).code === 'RUN_ENDED',
  );
});

test('bodies may return any observable', async () => {
  const flow = workflow({ name: 'observable' });
  const task = flow.task('task', {
    run: () =>
      new Observable<number>((to) => {
        to.next(4);
        to.complete();
      }),
  });
  assert.is((await flow.run().result()).results.get(task), 4);
});

test.run();
