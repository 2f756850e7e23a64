import { AsyncLocalStorage } from 'node:async_hooks';
import { Observable } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Limiter } from '../../lib/entry/limits.js';
import { bottleneck, type Run, virtual, workflow } from '../../lib/index.js';

const tenant = new AsyncLocalStorage<string>();

/** A body that ends in a context of its own, as one that calls a traced client does. */
const call = (name: string) => tenant.run(name, () => new Promise<void>((done) => setTimeout(done, 1)));

const shared: Readonly<Record<string, () => Limiter | undefined>> = {
  nothing: () => undefined,
  maxConcurrent: () => virtual({ maxConcurrent: 2 }),
  minTime: () => virtual({ minTime: 1 }),
  'a Bottleneck': () => bottleneck({ maxConcurrent: 2 }),
  'a Bottleneck with a distance': () => bottleneck({ minTime: 1 }),
};

for (const [name, limiterOf] of Object.entries(shared)) {
  test(`bodies and events stay with who started the run, when runs share ${name}`, async () => {
    const limiter = limiterOf();
    const seen: string[] = [];
    const request = (who: string): Promise<unknown> =>
      tenant.run(who, () => {
        const flow = workflow({
          name: who,
          groups: { llm: { concurrency: 2, ...(limiter && { limiter }) } },
        });
        for (let i = 0; i < 6; i++)
          flow.task(`${who}${i}`, {
            group: 'llm',
            run: async () => {
              seen.push(`${who} body ${tenant.getStore()}`);
              await call(`inner ${who}`);
              seen.push(`${who} body ${tenant.getStore()}`);
            },
          });
        const run = flow.run();
        run.events$.subscribe(() => seen.push(`${who} event ${tenant.getStore()}`));
        return run.result();
      });
    await Promise.all(['ann', 'bob', 'cleo'].map(request));
    const wrong = seen.filter((line) => !/^(\w+) \w+ \1$/.test(line));
    assert.equal(wrong, []);
  });
}

test('a body runs where its task was added', async () => {
  const seen: Record<string, string | undefined> = {};
  const look = (id: string) => () => {
    seen[id] = tenant.getStore();
  };
  const run = tenant.run('starter', () => {
    const flow = workflow({ name: 'added', concurrency: 1 });
    flow.task('parent', {
      run: (_, ctx) => {
        look('parent')();
        ctx.spawn('child', { run: look('child') });
        tenant.run('inner', () => ctx.spawn('other', { run: look('other') }));
      },
    });
    flow.each('each', { from: [1], run: look('item') });
    const one = flow.run({ keepOpen: true });
    one.events$.subscribe();
    return one as unknown as Run;
  });
  tenant.run('later', () => {
    run.task('late', {
      run: (_, ctx) => {
        look('late')();
        ctx.spawn('grandchild', { run: look('grandchild') });
      },
    });
    run.close();
  });
  await run.result();
  assert.equal(seen, {
    parent: 'starter',
    child: 'starter',
    other: 'inner',
    item: 'starter',
    late: 'later',
    grandchild: 'later',
  });
});

test('who ends one task does not lend its context to the next', async () => {
  const seen: (string | undefined)[] = [];
  const flow = workflow({ name: 'next', concurrency: 1 });
  flow.task('first', {
    run: () =>
      new Observable<number>((subscriber) => {
        setTimeout(() => tenant.run('emitter', () => subscriber.complete()), 1);
      }),
  });
  flow.task('second', { timeout: 5, run: (_, ctx) => tenant.run('body', () => ctx.sleep(1)) });
  flow.task('third', { run: () => seen.push(tenant.getStore()) });
  await tenant.run('starter', () => flow.run().result());
  assert.equal(seen, ['starter']);
});

test('one signal serves many runs without a warning', async () => {
  const warnings: string[] = [];
  const warned = (warning: Error): void => {
    warnings.push(warning.message);
  };
  process.on('warning', warned);
  const stop = new AbortController();
  const flow = workflow({ name: 'signal' });
  flow.task('t', { run: () => new Promise(() => undefined) });
  const quick = workflow({ name: 'quick' });
  quick.task('t', { run: () => 1 });
  const open = Array.from({ length: 50 }, () => flow.run({ signal: stop.signal }).result());
  for (let i = 0; i < 10_000; i++) await quick.run({ signal: stop.signal }).result();
  stop.abort(new Error('enough'));
  for (const result of await Promise.all(open)) assert.is(result.status, 'cancelled');
  await new Promise((done) => setImmediate(done));
  process.off('warning', warned);
  assert.equal(warnings, []);
});

test.run();
