import { delay, of } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Run, type Task, type WorkflowResult, workflow } from '../../lib/index.js';

/** Runs in virtual time; the result is there as soon as the body has returned. */
function virtual(body: () => Run): Promise<WorkflowResult> {
  let result: Promise<WorkflowResult> | undefined;
  new TestScheduler(assert.equal).run(() => {
    result = body().result() as Promise<WorkflowResult>;
  });
  return result as Promise<WorkflowResult>;
}

test('two chains in opposite phase take the critical path: there is no barrier', async () => {
  const result = await virtual(() => {
    const flow = workflow({ name: 'phases' });
    for (const chain of [0, 1]) {
      let last: Task<number>[] = [];
      for (let step = 0; step < 10; step++) {
        const ms = (step + chain) % 2 === 0 ? 20 : 200;
        last = [flow.task(`${chain}-${step}`, { dependencies: last, run: () => of(ms).pipe(delay(ms)) })];
      }
    }
    return flow.run() as Run;
  });
  assert.is(result.report.wallMs, 1_100);
  assert.is(result.report.criticalPath.ms, 1_100);
});

test('the longer path goes first among equals, and priority is inherited by what it needs', async () => {
  const order: string[] = [];
  await virtual(() => {
    const flow = workflow({ name: 'order', concurrency: 1 });
    const body = (id: string) => () => {
      order.push(id);
      return of(0).pipe(delay(1));
    };
    flow.task('short', { run: body('short') });
    const head = flow.task('head', { run: body('head') });
    flow.task('tail', { dependencies: [head], run: body('tail') });
    const plain = flow.task('plain', { run: body('plain') });
    flow.task('urgent', { priority: 9, dependencies: [plain], run: body('urgent') });
    return flow.run() as Run;
  });
  assert.equal(order, ['plain', 'urgent', 'head', 'short', 'tail']);
});

test('aging lets nothing starve', async () => {
  const order: string[] = [];
  await virtual(() => {
    const flow = workflow({ name: 'aging', concurrency: 1, aging: 100 });
    const run = (id: string) => () => {
      order.push(id);
      return of(0).pipe(delay(50));
    };
    flow.task('old', { run: run('old') });
    let last: Task<number>[] = [flow.task('first', { priority: 3, run: run('first') })];
    for (let i = 0; i < 20; i++) {
      last = [flow.task(`new${i}`, { priority: 3, dependencies: last, run: run(`new${i}`) })];
    }
    return flow.run() as Run;
  });
  const at = order.indexOf('old');
  assert.ok(at > 4 && at < 12, `started as number ${at}`);
});

for (const urgent of [false, true]) {
  test(`a long wait does not make equals go by age${urgent ? ', nor does one that is urgent' : ''}`, async () => {
    const order: string[] = [];
    await virtual(() => {
      const flow = workflow({ name: 'queue', concurrency: urgent ? 3 : 2, aging: 1_000 });
      const task = (id: string, ms: number, dependencies: Task<number>[] = [], priority = 0): Task<number> =>
        flow.task(id, {
          priority,
          dependencies,
          estimate: ms,
          run: () => {
            order.push(id);
            return of(0).pipe(delay(ms));
          },
        });
      if (urgent) task('urgent', 900_000, [], 1);
      let last = task('gate', 60_000);
      for (let i = 0; i < 30; i++) task(`leaf${i}`, 5_000);
      for (let i = 0; i < 10; i++) last = task(`link${i}`, 5_000, [last]);
      return flow.run() as Run;
    });
    // The links are ready a minute and more after the leaves, but all of the path is behind them.
    const links = order.slice(order.indexOf('link0'), order.indexOf('link8') + 1);
    assert.ok(links.length <= 18, order.join(' '));
    assert.ok(order.indexOf('leaf29') > order.indexOf('link8'), order.join(' '));
  });
}

test('what waits behind more important tasks is not forgotten because its equals start elsewhere', async () => {
  const order: string[] = [];
  await virtual(() => {
    const flow = workflow({
      name: 'elsewhere',
      concurrency: 2,
      aging: 100,
      groups: { a: { concurrency: 1 }, b: { concurrency: 1 } },
    });
    const body = (id: string) => () => {
      order.push(id);
      return of(0).pipe(delay(50));
    };
    const chain = (name: string, group: 'a' | 'b', priority: number): void => {
      let last: Task<number>[] = [];
      for (let i = 0; i < 40; i++)
        last = [flow.task(`${name}${i}`, { group, priority, dependencies: last, run: body(`${name}${i}`) })];
    };
    chain('equal', 'a', 0);
    chain('urgent', 'b', 3);
    flow.task('old', { group: 'b', run: body('old') });
    return flow.run() as Run;
  });
  const before = order.slice(0, order.indexOf('old')).filter((id) => id.startsWith('urgent')).length;
  assert.ok(before > 4 && before < 12, `after ${before} of 40`);
});

test('a task that needs much is not overtaken for ever by tasks that need little', async () => {
  const order: string[] = [];
  await virtual(() => {
    const flow = workflow({ name: 'big', resources: { gpu: 4 }, aging: 100 });
    const body = (id: string, ms: number) => () => {
      order.push(id);
      return of(0).pipe(delay(ms));
    };
    for (let chain = 0; chain < 4; chain++) {
      let last: Task<number>[] = [];
      for (let i = 0; i < 30; i++) {
        const id = `small${chain}-${i}`;
        last = [
          flow.task(id, {
            priority: 9,
            dependencies: last,
            resources: { gpu: 1 },
            run: body(id, 20 + chain),
          }),
        ];
      }
    }
    flow.task('big', { resources: { gpu: 4 }, run: body('big', 10) });
    return flow.run() as Run;
  });
  assert.ok(order.indexOf('big') < 60, `started as number ${order.indexOf('big')} of ${order.length}`);
});

test('Retry-After gates the whole group, which then starts one by one; backoff holds no slot', async () => {
  const starts: [string, number][] = [];
  const result = await virtual(() => {
    const flow = workflow({ name: 'gate', concurrency: 1, groups: { api: {} } });
    const run: Run = (() => {
      flow.task('first', {
        group: 'api',
        retry: 1,
        run: (_, ctx) => {
          starts.push([`first ${ctx.attempt}`, run.snapshot().seq]);
          if (ctx.attempt === 1) throw Object.assign(new Error('429'), { status: 429, retryAfter: 2 });
          return 1;
        },
      });
      flow.task('second', { group: 'api', run: () => of(1).pipe(delay(5)) });
      flow.task('other', { run: () => of(1).pipe(delay(5)) });
      return flow.run() as unknown as Run;
    })();
    return run;
  });
  assert.is(result.tasks.get('other')?.attempts[0]?.startedAt, 0);
  assert.is(result.tasks.get('first')?.attempts[1]?.startedAt, 2_000);
  assert.is(result.tasks.get('second')?.attempts[0]?.startedAt, 2_125);
  assert.is(result.tasks.get('first')?.attempts[0]?.retryAfter, 2_000);
  assert.is(result.tasks.get('first')?.waits.backoff, 2_000);
});

test.run();
