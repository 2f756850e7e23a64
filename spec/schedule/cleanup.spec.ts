import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  checkWorkflow,
  controller,
  human,
  memory,
  type RunOptions,
  race,
  settled,
  typed,
  type Workflow,
  type WorkflowEvent,
  type WorkflowResult,
  workflow,
} from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';
import { type Drive, driven, statuses } from '../support/driven-run.js';

interface Trial {
  readonly result: WorkflowResult;
  readonly events: readonly WorkflowEvent[];
  /** What bodies did, and when. */
  readonly did: readonly string[];
}

type Settings = Partial<Parameters<typeof workflow>[0]>;

/** Two hosts are rented one after the other, worked on, and given back. */
function rental(did: string[], at: () => number, settings: Settings = {}, fails = false) {
  const flow = workflow({ name: 'rental', ...settings });
  const note = (what: string): void => void did.push(`${what} ${at()}`);
  const host = flow.task('host', {
    run: async (_, ctx) => {
      await ctx.sleep(10);
      ctx.usage({ cost: 1 });
      note('host');
      return 'h1';
    },
  });
  const work = flow.task('work', {
    dependencies: { host },
    run: async (_, ctx) => {
      await ctx.sleep(10);
      ctx.usage({ cost: 5 });
      note('work');
      if (fails) throw new Error('no luck');
      return 1;
    },
  });
  const tell = flow.task('tell', {
    dependencies: { work },
    run: async (_, ctx) => {
      await ctx.sleep(10);
      note('tell');
    },
  });
  const back = flow.task('back', {
    dependencies: { host: settled(host), work: settled(work), tell: settled(tell) },
    always: true,
    run: async ({ host, tell }, ctx) => {
      await ctx.sleep(5);
      note(`back of ${host.status === 'succeeded' ? host.value : host.status}, tell ${tell.status}`);
      return 'given back';
    },
  });
  return { flow, host, work, tell, back };
}

async function play(
  made: (did: string[], at: () => number) => { readonly flow: unknown },
  options?: Partial<RunOptions>,
  drive?: Drive,
): Promise<Trial> {
  const scheduler = new SimulationScheduler();
  const did: string[] = [];
  const { flow } = made(did, () => scheduler.now());
  return { ...(await driven(flow as Workflow, options, drive, scheduler)), did };
}

test('cleanup runs after a success', async () => {
  const trial = await play((did, at) => rental(did, at));
  assert.is(trial.result.status, 'succeeded');
  assert.equal(trial.did, ['host 10', 'work 20', 'tell 30', 'back of h1, tell succeeded 35']);
});

test('cleanup runs after a failure', async () => {
  const trial = await play((did, at) => rental(did, at, {}, true));
  assert.is(trial.result.status, 'partial');
  assert.equal(trial.did, ['host 10', 'work 20', 'back of h1, tell skipped 25']);
});

test('cleanup runs after fail-fast', async () => {
  const trial = await play((did, at) => rental(did, at, { failurePolicy: 'fail-fast' }, true));
  assert.is(trial.result.status, 'failed');
  assert.is(trial.result.error?.details.reason, 'fail-fast');
  assert.equal(trial.did, ['host 10', 'work 20', 'back of h1, tell skipped 25']);
  assert.equal(statuses(trial.result), {
    host: 'succeeded',
    work: 'failed',
    tell: 'skipped',
    back: 'succeeded',
  });
});

test('cleanup runs after a cancel, and the run ends when it has', async () => {
  const trial = await play(rental, {}, (run, scheduler) => {
    scheduler.schedule(() => run.cancel('enough'), 15);
    scheduler.schedule(() => run.cancel('again'), 17);
  });
  assert.is(trial.result.status, 'cancelled');
  assert.match(trial.result.error?.message ?? '', 'enough');
  assert.equal(trial.did, ['host 10', 'back of h1, tell cancelled 20']);
  assert.equal(statuses(trial.result), {
    host: 'succeeded',
    work: 'cancelled',
    tell: 'cancelled',
    back: 'succeeded',
  });
  assert.is(trial.result.report.wallMs, 20);
});

test('cleanup that runs when the run is cancelled goes on', async () => {
  const trial = await play(rental, {}, (run, scheduler) => scheduler.schedule(() => run.cancel(), 32));
  assert.is(trial.result.status, 'cancelled');
  assert.is(trial.did.at(-1), 'back of h1, tell succeeded 35');
});

test('cleanup runs after a spent budget, soft or hard, which it may pass', async () => {
  const soft = await play((did, at) => rental(did, at, { budget: { cost: 4 } }));
  assert.equal(soft.did, ['host 10', 'work 20', 'back of h1, tell skipped 25']);
  const calls = await play((did, at) => rental(did, at, { budget: { calls: 1 } }));
  assert.equal(calls.did, ['host 10', 'back of h1, tell skipped 15']);
  const hard = await play((did, at) => rental(did, at, { budget: { cost: 4, hard: true } }));
  assert.equal(hard.did, ['host 10', 'work 20', 'back of h1, tell cancelled 25']);
  assert.is(hard.result.status, 'cancelled');
  assert.is(hard.result.error?.details.reason, 'budget');
});

test('cleanup runs after a timeout of the run', async () => {
  const limit = new AbortController();
  const trial = await play(rental, { signal: limit.signal }, (_, scheduler) =>
    scheduler.schedule(() => limit.abort(new DOMException('too slow', 'TimeoutError')), 12),
  );
  assert.is(trial.result.status, 'cancelled');
  assert.equal(trial.did, ['host 10', 'back of h1, tell cancelled 17']);
});

test('cleanup does not run where the run suspends, but when it goes on', async () => {
  const store = memory();
  const make = (did: string[], at: () => number): ReturnType<typeof rental> => {
    const made = rental(did, at);
    const asks = made.flow.task('asks', {
      dependencies: { work: made.work },
      run: (_, ctx) => ctx.ask(human(typed<boolean>(), { key: 'ok', prompt: 'Fine?' })),
    });
    made.flow.task('last', { dependencies: [settled(asks)], always: true, run: () => void did.push('last') });
    return made;
  };
  const first = await play(make, { store, suspend: 'exit' });
  assert.is(first.result.status, 'suspended');
  assert.is(first.did.includes('last'), false);
  const second = await play(make, { store }, (run) => void run.answer('asks?ok', true));
  assert.is(second.result.status, 'succeeded');
  assert.equal(second.did, ['last']);
});

test('a failure of cleanup is told beside the first cause', async () => {
  const trial = await play((did, at) => {
    const made = rental(did, at, { failurePolicy: 'fail-fast' }, true);
    made.flow.task('bad', {
      dependencies: [settled(made.work)],
      always: true,
      run: () => {
        throw new Error('still there');
      },
    });
    return made;
  }, {});
  assert.is(trial.result.status, 'failed');
  assert.is(String(trial.result.error?.cause), 'Error: no luck');
  assert.is(String(trial.result.tasks.get('bad')?.error), 'Error: still there');
  assert.is(statuses(trial.result).back, 'succeeded', 'other cleanup is not ended by it');
  const text = String(trial.result.report);
  assert.match(text, 'failed "work" after 1 attempt: no luck');
  assert.match(text, 'failed "bad" after 1 attempt: still there');
});

test('cleanup has a deadline of its own, whatever it waits for', async () => {
  const hanging = (timeout?: number) => (did: string[], at: () => number) => {
    const made = rental(did, at, { concurrency: 1 });
    const dependencies = [settled(made.work)];
    made.flow.task('hangs', {
      dependencies,
      always: true,
      ...(timeout !== undefined && { timeout: { total: timeout } }),
      priority: 1,
      run: () => new Promise(() => undefined),
    });
    return made;
  };
  const cancel = (run: { cancel(): void }, scheduler: SimulationScheduler): void =>
    void scheduler.schedule(() => run.cancel(), 12);
  const usual = await play(hanging(), {}, cancel);
  assert.is(usual.result.status, 'cancelled');
  assert.is(usual.result.report.wallMs, 12 + 30_000);
  assert.is(statuses(usual.result).hangs, 'failed');
  assert.match(String(usual.result.tasks.get('hangs')?.error), /30000 ms/);
  // Behind it, without a slot, the other one's time was over, too.
  assert.is(statuses(usual.result).back, 'failed');
  const short = await play(hanging(100), {}, cancel);
  assert.is(short.result.report.wallMs, 12 + 105);
  assert.is(statuses(short.result).back, 'succeeded');
});

test('cleanup of a paused run runs when that is cancelled', async () => {
  const trial = await play(rental, {}, (run, scheduler) => {
    scheduler.schedule(() => run.pause(), 12);
    scheduler.schedule(() => run.cancel(), 50);
  });
  assert.is(trial.did.at(-1), 'back of h1, tell cancelled 55');
});

test('a run that never began has nothing to clean up', async () => {
  const did: string[] = [];
  const { flow } = rental(did, () => 0);
  const run = flow.run();
  run.cancel();
  const result = await run.result();
  assert.is(result.status, 'cancelled');
  assert.is(result.tasks.get('back')?.status, 'cancelled');
});

test('one cleanup can follow another, and take its result', async () => {
  const trial = await play(
    (did, at) => {
      const made = rental(did, at);
      made.flow.task('bill', {
        dependencies: { back: made.back },
        always: true,
        run: ({ back }) => void did.push(`${back} ${at()}`),
      });
      return made;
    },
    {},
    (run, scheduler) => void scheduler.schedule(() => run.cancel(), 15),
  );
  assert.equal(trial.did.slice(-2), ['back of h1, tell cancelled 20', 'given back 20']);
});

test('runs of a controller clean up, too, while others go on', async () => {
  const scheduler = new SimulationScheduler();
  const hive = controller({ concurrency: 1, scheduler });
  const did: string[] = [];
  const one = rental(did, () => scheduler.now(), { controller: hive }).flow.run();
  const other = workflow({ name: 'other', controller: hive });
  for (let i = 0; i < 3; i++) other.task(`t${i}`, { run: (_, ctx) => ctx.sleep(10) });
  const ended = [one.result(), other.run().result()];
  scheduler.schedule(() => one.cancel(), 12);
  await advance(scheduler);
  const [first, second] = await Promise.all(ended);
  assert.is(first?.status, 'cancelled');
  assert.is(first?.tasks.get('back')?.status, 'succeeded');
  assert.is(second?.status, 'succeeded');
});

test('cleanup after a cancel runs again when the run has gone on', async () => {
  const store = memory();
  const first = await play(rental, { store }, (run, scheduler) => scheduler.schedule(() => run.cancel(), 15));
  assert.equal(first.did, ['host 10', 'back of h1, tell cancelled 20']);
  const second = await play(rental, { store });
  assert.is(second.result.status, 'succeeded');
  assert.equal(second.did, ['work 10', 'tell 20', 'back of h1, tell succeeded 25']);
  const third = await play(rental, { store });
  assert.equal(third.did, []);
});

test('cleanup of a run that failed fast has been done: looking at it again does not repeat it', async () => {
  for (const compact of [undefined, { keep: 0 }]) {
    const store = memory();
    const make = (did: string[], at: () => number): ReturnType<typeof rental> =>
      rental(did, at, { failurePolicy: 'fail-fast' }, true);
    const options: Partial<RunOptions> = { store, ...(compact && { compact }) };
    await play(make, options);
    if (compact !== undefined) {
      const { flow } = make([], () => 0);
      await flow.compact(store, 'r', { keep: 0 });
    }
    const again = await play(make, options);
    assert.equal(again.did, []);
    assert.is(again.result.status, 'failed');
    assert.is(statuses(again.result).back, 'restored');
    assert.is(again.result.results.get('back'), 'given back');
    const retried = await play((did, at) => rental(did, at, { failurePolicy: 'fail-fast' }), {
      ...options,
      retry: 'failed',
      rerun: ['work'],
    });
    assert.is(retried.result.status, 'succeeded');
    assert.is(retried.did.at(-1), 'back of h1, tell succeeded 25');
  }
});

test('checkWorkflow knows cleanup that would be skipped or begins at once, and pictures show it', () => {
  const { flow, host } = rental([], () => 0);
  assert.equal(checkWorkflow(flow), []);
  flow.task('early', { always: true, run: () => 1 });
  flow.task('vain', { always: true, dependencies: { host }, run: () => 1 });
  assert.equal(
    checkWorkflow(flow).map(({ kind, taskId }) => [kind, taskId]),
    [
      ['always-in-vain', 'early'],
      ['always-in-vain', 'vain'],
    ],
  );
  assert.match(flow.graph(), 'back (always)');
});

test('a loser of a race is stopped although cleanup waits for its end; cleanup in a nested loser runs', async () => {
  const trial = await play((did, at) => {
    const inner = workflow({ name: 'inner' });
    const host = inner.task('host', {
      run: async () => {
        did.push(`rented ${at()}`);
        return 'h1';
      },
    });
    const work = inner.task('work', { dependencies: { host }, run: (_, ctx) => ctx.sleep(800) });
    inner.task('back', {
      always: true,
      dependencies: { host: settled(host), work: settled(work) },
      run: ({ host, work }) => {
        did.push(
          `${host.status === 'succeeded' ? host.value : host.status} back ${at()}, work ${work.status}`,
        );
      },
    });
    const flow = workflow({ name: 'outer' });
    const slow = flow.task('slow', { run: (_, ctx) => ctx.sleep(800) });
    const rented = flow.task('rented', { workflow: inner });
    const fast = flow.task('fast', { run: (_, ctx) => ctx.sleep(20) });
    flow.task('first', { dependencies: { one: race([slow, rented, fast]) }, run: () => at() });
    flow.task('tidy', {
      always: true,
      dependencies: { slow: settled(slow) },
      run: ({ slow }) => void did.push(`tidy ${at()}, slow ${slow.status}`),
    });
    return { flow };
  });
  assert.is(trial.result.status, 'succeeded');
  assert.equal([...trial.did].sort(), ['h1 back 20, work cancelled', 'rented 0', 'tidy 20, slow cancelled']);
});

test.run();
