import { Observable } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  adaptive,
  fallback,
  type Run,
  RxhiveError,
  type StandardSchema,
  virtual,
  type WorkflowResult,
  workflow,
} from '../lib/index.js';

/** What escaped; each test looks that nothing did. */
const escaped: unknown[] = [];
process.on('unhandledRejection', (error) => escaped.push(error));
process.on('uncaughtException', (error) => escaped.push(error));

const turn = () => new Promise((done) => setImmediate(done));

/** Ten ways in which a function of a user may go wrong. */
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
  'rejects late': async () => {
    await null;
    throw new Error('late');
  },
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
  'retry.retryIf': (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.task('t', { retry: { count: 1, retryIf: fn, backoff: () => 0 }, run: fails(500) });
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
  'a schema': (fn) => {
    const flow = workflow({ name: 'guard' });
    const result: StandardSchema<number> = { '~standard': { version: 1, vendor: 'x', validate: fn } };
    flow.task('t', { timeout: 20, result, run: () => 1 });
    return flow.run() as Run;
  },
  'key of flow.each': (fn) => {
    const flow = workflow({ name: 'guard' });
    flow.each('t', { from: [1], key: fn, run: () => 1 });
    return flow.run() as Run;
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
const mayWait = new Set(['from of flow.each never answers', 'from of flow.each says another type']);
/** rxjs drops what a teardown returns, so nobody can hear of its promise. */
const unheard = new Set(['a teardown rejects late']);

for (const [place, begin] of Object.entries(places)) {
  for (const [behaviour, act] of Object.entries(nonsense)) {
    test(`${place} ${behaviour}: the run ends, and nothing escapes`, async () => {
      escaped.length = 0;
      let run: Run | undefined;
      run = begin((() => act(() => run)) as Fn);
      const watched = new Promise<WorkflowResult>((done) => {
        run?.result().then((result) => done(result as WorkflowResult));
      });
      if (mayWait.has(`${place} ${behaviour}`)) setTimeout(() => run?.cancel(), 5);
      // Long enough for any machine: who waits for ever is found by this.
      const hung = new Promise<'hung'>((done) => setTimeout(() => done('hung'), 5_000).unref());
      const result = await Promise.race([watched, hung]);
      if (result === 'hung') throw new Error(`${run.explain('t')} ${run.stuck().join()}`);
      await turn();
      await turn();
      if (!unheard.has(`${place} ${behaviour}`)) assert.equal(escaped, []);
      const error = result.tasks.get('t')?.error;
      if (
        !['a body', 'a recipe', 'from of flow.each', 'next of an iterator', 'middleware.attempt'].includes(
          place,
        )
      )
        assert.ok(error === undefined || error instanceof RxhiveError, String(error));
    });
  }
}

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
