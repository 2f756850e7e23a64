import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AgentTask,
  type CheckpointStore,
  collection,
  memory,
  RxhiveError,
  settled,
  WorkflowOrchestrator,
  workflow,
} from '../../lib/index.js';
import { sqlite } from '../../lib/stores/sqlite.js';

const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const codeOf = (error: unknown): string | undefined =>
  error instanceof RxhiveError ? error.code : undefined;

async function rejected(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.unreachable('it did not reject');
}

for (const [name, make] of [
  ['memory', () => memory()],
  ['sqlite', (id: string) => sqlite(join(folder, `${id}.db`))],
] as const) {
  test(`${name}: keeps records in order, per run, and one writer at a time`, async () => {
    const store: CheckpointStore = make('contract');
    const log = await store.open('a');
    assert.equal(log.entries, []);
    await log.append([
      { seq: 1, body: '"one"' },
      { seq: 2, body: '"zwei ✓ 𝒳"' },
    ]);
    await log.append([{ seq: 3, body: '3' }]);
    const refused = await rejected(new Promise((done) => done(store.open('a'))));
    assert.is(codeOf(refused), 'RUN_LEASED');
    assert.equal((await store.open('b')).entries, []);
    await log.close();
    const again = await store.open('a');
    assert.equal(
      again.entries.map(({ seq, body }) => [seq, body]),
      [
        [1, '"one"'],
        [2, '"zwei ✓ 𝒳"'],
        [3, '3'],
      ],
    );
  });

  test(`${name}: a run goes on where it failed; values of all kinds come back`, async () => {
    const store = make('resume');
    let broken = true;
    const ran: string[] = [];
    const values = {
      date: new Date(5),
      map: new Map([['k', new Set([1n])]]),
      bytes: new Uint8Array([0, 255]),
      odd: [Number.NaN, -0, undefined, Number.NEGATIVE_INFINITY],
      $: 'tag',
      ['__proto__']: 'own',
    };
    const flow = workflow({ name: 'resume', state: { n: 0, docs: collection<number>() } });
    const first = flow.task('first', {
      run: (_, ctx) => {
        ran.push('first');
        ctx.usage({ inputTokens: 7 });
        ctx.update((s) => {
          s.n += 1;
          s.docs.set('a', 1);
        });
        return values;
      },
    });
    const second = flow.task('second', {
      dependencies: { first },
      run: ({ first }) => {
        ran.push('second');
        if (broken) throw new TypeError('not yet', { cause: new Error('why') });
        return first;
      },
    });
    flow.task('third', { dependencies: [settled(second)], run: ([s]) => s.status });
    flow.task('fourth', { dependencies: { second }, run: () => 4 });
    const options = { store, runId: 'r' };
    assert.is((await flow.run(options).result()).status, 'partial');
    broken = false;
    const kept = await flow.run(options).result();
    assert.equal(ran, ['first', 'second']);
    const error = kept.tasks.get('second')?.error as Error;
    assert.is(error.message, 'not yet');
    assert.is((error.cause as Error).message, 'why');
    assert.equal(kept.tasks.get('fourth')?.skippedBecause, ['second']);
    const done = await flow.run({ ...options, retry: 'failed' }).result();
    assert.equal(ran, ['first', 'second', 'second']);
    assert.is(done.status, 'succeeded');
    assert.equal(done.results.get(second), values);
    assert.ok(Object.hasOwn(done.results.get(second) as object, '__proto__'));
    assert.is(done.tasks.get('first')?.status, 'restored');
    assert.is(done.tasks.get('first')?.usage.inputTokens, 7);
    assert.equal([done.state.n, done.state.docs.get('a')], [1, 1]);
    assert.equal((await flow.run(options).result()).report.counts.restored, 4);
  });
}

test('dynamic tasks come back: handlers are called again, spawned ones are kept or made again', async () => {
  const store = memory();
  const ran: string[] = [];
  const make = (
    failing: boolean,
  ): WorkflowOrchestrator<{ plan: () => number[]; step: (t: { id: string }) => string }> => {
    const orchestrator = new WorkflowOrchestrator({
      agents: {
        plan: () => {
          ran.push('plan');
          return [0, 1, 2];
        },
        step: (task: { id: string }) => {
          ran.push(task.id);
          if (failing && task.id === 'step_1') throw new Error('no');
          return task.id;
        },
      },
    });
    orchestrator.addTask(new AgentTask({ id: 'plan', agentType: 'plan' }));
    orchestrator.onTaskComplete('plan', (steps, add) => {
      for (const i of steps as number[])
        add(
          new AgentTask({
            id: `step_${i}`,
            agentType: 'step',
            dependencies: i === 0 ? [] : [`step_${i - 1}`],
          }),
        );
    });
    return orchestrator;
  };
  await make(true).executeWorkflow({ store, runId: 'd' });
  ran.length = 0;
  const result = await make(false).executeWorkflow({ store, runId: 'd', retry: 'failed' });
  // The source of the agent is the same text, so only what failed runs again.
  assert.equal(ran, ['step_1', 'step_2']);
  assert.is(result.status, 'succeeded');

  let stop = true;
  const flow = workflow({ name: 'spawns' });
  flow.task('parent', {
    run: (_, ctx) => {
      ran.push('parent');
      ctx.spawn('good', { run: () => ran.push('good') });
      ctx.spawn('bad', {
        run: () => {
          if (stop) throw new Error('no');
          return ran.push('bad');
        },
      });
    },
  });
  ran.length = 0;
  await flow.run({ store, runId: 's' }).result();
  stop = false;
  const second = await flow.run({ store, runId: 's', retry: 'failed' }).result();
  assert.is(second.status, 'succeeded');
  assert.equal(ran, ['parent', 'good', 'parent', 'bad']);
  const third = await flow.run({ store, runId: 's' }).result();
  assert.equal(
    [...third.tasks.values()].map(({ status }) => status),
    ['restored', 'restored', 'restored'],
  );
});

test('a changed task runs again with what is behind it and what wrote over it, listed before', async () => {
  const store = memory();
  const make = (
    version: string,
  ): { flow: ReturnType<typeof workflow<{ a: number; b: number }>>; ran: string[] } => {
    const ran: string[] = [];
    const flow = workflow({ name: 'changed', concurrency: 1, state: { a: 0, b: 0 } });
    const write =
      (id: string, key: 'a' | 'b') =>
      (_: unknown, ctx: { update(r: (s: { a: number; b: number }) => void): void }) => {
        ran.push(id);
        ctx.update((s) => {
          s[key] += 1;
        });
      };
    const one = flow.task('one', { version, run: write('one', 'a') });
    flow.task('after', { dependencies: [one], version: '1', run: write('after', 'b') });
    flow.task('over', { version: '1', priority: -1, run: write('over', 'a') });
    flow.task('apart', { version: '1', run: () => ran.push('apart') });
    return { flow: flow as never, ran };
  };
  await make('1').flow.run({ store, runId: 'c' }).result();
  const { flow, ran } = make('2');
  const run = flow.run({ store, runId: 'c' });
  const told: string[] = [];
  run.events$.subscribe((event) => {
    if (event.type === 'run' && event.reason === 'resumed')
      for (const { taskId, because } of event.rerun ?? []) told.push(`${taskId}: ${because}`);
    else if (event.type === 'attempt' && event.reason === 'started') told.push('started');
  });
  const result = await run.result();
  assert.equal(told.slice(0, 3), [
    'one: it has changed',
    'after: "one" runs again',
    'over: it changed what a task that runs again had written',
  ]);
  assert.equal(ran.sort(), ['after', 'one', 'over']);
  assert.equal(result.state, { a: 2, b: 1 });
});

test('a crash while changed tasks run again brings no old result back', async () => {
  const store = memory();
  const make = (version: string): ReturnType<typeof workflow<{ a: number }>> => {
    const flow = workflow({ name: 'twice', concurrency: 1, state: { a: 0 } });
    const one = flow.task('one', {
      version,
      run: (_, ctx) => {
        ctx.update((s) => {
          s.a += 1;
        });
        return version;
      },
    });
    flow.task('after', {
      dependencies: [one],
      version: '1',
      run: ([one], ctx) => {
        ctx.update((s) => {
          s.a += 10;
        });
        return `after ${one}`;
      },
    });
    return flow as never;
  };
  await make('1').run({ store, runId: 'c', durability: 'sync' }).result();
  let dump = store.dump();
  const run = make('2').run({ store, runId: 'c', durability: 'sync' });
  run.events$.subscribe((event) => {
    if (event.type === 'task' && event.taskId === 'one' && event.reason === 'succeeded') dump = store.dump();
  });
  await run.result();
  const result = await make('2')
    .run({ store: memory(dump), runId: 'c' })
    .result();
  assert.equal([...result.results.values()], ['2', 'after 2']);
  assert.equal(result.state, { a: 11 });
  assert.is(result.tasks.get('one')?.status, 'restored');
});

test('history: state at any record, who wrote, what differs; a fork goes on from any record', async () => {
  for (const store of [memory(), sqlite(join(folder, 'history.db'))]) {
    const ran: string[] = [];
    const flow = workflow({ name: 'past', concurrency: 1, state: { a: 0, list: [] as string[], apart: 0 } });
    let before: ReturnType<typeof flow.task>[] = [];
    for (const id of ['one', 'two', 'three']) {
      before = [
        flow.task(id, {
          dependencies: before,
          run: (_, ctx) => {
            ran.push(id);
            ctx.usage({ inputTokens: ran.length });
            ctx.update((s) => {
              s.a += 1;
              s.list.push(id);
              if (id === 'two') s.apart = ran.length;
            });
            return id;
          },
        }),
      ];
    }
    const last = await flow.run({ store, runId: 'a' }).result();
    const log = await flow.history(store, 'a');
    assert.equal(
      log.records.map(({ kind }) => kind),
      ['run', 'commit', 'commit', 'commit'],
    );
    assert.equal(log.snapshotAt(1).state, { a: 0, list: [], apart: 0 });
    assert.equal(log.snapshotAt(3).state, { a: 2, list: ['one', 'two'], apart: 2 });
    assert.equal([...log.snapshotAt(3).results.keys()], ['one', 'two']);
    assert.equal(log.snapshotAt(4).state, last.state);
    assert.equal(log.blame('apart'), { taskId: 'two', seq: 3 });
    assert.equal(log.blame('list', 0), { taskId: 'three', seq: 4 });
    assert.is(log.blame('nowhere'), undefined);
    const forked = await flow.fork(store, 'a', { at: 2, runId: 'b' }).result();
    assert.equal(ran, ['one', 'two', 'three', 'two', 'three']);
    assert.equal(forked.state, { a: 3, list: ['one', 'two', 'three'], apart: 4 });
    const { state, results, tasks } = log.diff(await flow.history(store, 'b'));
    assert.equal(state, [{ path: ['apart'], a: 2, b: 4 }]);
    assert.equal(results, []);
    assert.equal(
      tasks.map(({ taskId, a, b }) => [taskId, a?.usage.inputTokens, b?.usage.inputTokens]),
      [
        ['two', 2, 4],
        ['three', 3, 5],
      ],
    );
    for (const wrong of [
      async () => log.snapshotAt(9),
      () => flow.history(store, 'none'),
      () => flow.fork(store, 'a', { at: 7, runId: 'c' }).result(),
      () => flow.fork(store, 'a', { at: 1, runId: 'b' }).result(),
      () => workflow({ name: 'other' }).history(store, 'a'),
    ])
      assert.is(codeOf(await rejected(wrong())), 'INVALID_OPTION');
  }
});

test('compensate takes back what was done, last first, and goes on where it stopped', async () => {
  const store = memory();
  const undone: string[] = [];
  let stuck = true;
  const flow = workflow({ name: 'trip', state: { booked: 0 } });
  const flight = flow.task('flight', {
    run: (_, ctx) => {
      ctx.update((s) => {
        s.booked += 1;
      });
      return { seat: '12a' };
    },
    compensate: ({ seat }, ctx) => undone.push(`flight ${seat} of ${ctx.read().booked}`),
  });
  const insurance = flow.task('insurance', { dependencies: [flight], run: () => 1 });
  const hotel = flow.task('hotel', {
    dependencies: [insurance],
    run: () => 'room 7',
    compensate: (room) => {
      if (stuck) throw new Error('hotel does not answer');
      undone.push(room.toUpperCase());
    },
  });
  flow.task('car', {
    dependencies: [hotel],
    run: () => 'van',
    compensate: (car) => undone.push(car),
  });
  flow.task('pay', {
    dependencies: [hotel],
    run: () => {
      throw new Error('no money');
    },
    compensate: () => undone.push('pay'),
  });
  await flow.run({ store, runId: 't' }).result();
  assert.is((await (await flow.compensate(store, 't')).result()).status, 'partial');
  assert.equal(undone, ['van']);
  stuck = false;
  const result = await (await flow.compensate(store, 't', { retry: 'failed' })).result();
  assert.is(result.status, 'succeeded');
  assert.equal(undone, ['van', 'ROOM 7', 'flight 12a of 1']);
  await (await flow.compensate(store, 't')).result();
  assert.is(undone.length, 3);
});

test('what cannot be stored, or does not fit the log, is refused with a code', async () => {
  const store = memory();
  const flow = workflow({ name: 'refused', state: {} as Record<string, number> });
  flow.task('socket', { run: () => ({ deep: [new AbortController()] }) });
  flow.task('circle', {
    run: () => {
      const a: Record<string, unknown> = {};
      a.a = a;
      return a;
    },
  });
  flow.task('reserved', {
    run: (_, ctx) =>
      ctx.update((s) => {
        s.constructor = 1 as never;
      }),
  });
  const result = await flow.run({ store, runId: 'r' }).result();
  for (const id of ['socket', 'circle', 'reserved'])
    assert.is(codeOf(result.tasks.get(id)?.error), 'NOT_SERIALIZABLE', id);
  assert.match(String(result.tasks.get('socket')?.error), 'the result.deep[0] is a AbortController');
  assert.equal(result.state, {});
  const other = workflow({ name: 'other' });
  const task = other.task('t', { run: () => 1 });
  assert.is(codeOf(await rejected(other.run({ store, runId: 'r' }).result())), 'INVALID_OPTION');
  const open = store.open('held');
  assert.is(codeOf(await rejected(other.run({ store, runId: 'held' }).result())), 'RUN_LEASED');
  const run = other.run({ store, runId: 'held' });
  const errors: (string | undefined)[] = [];
  const note = { error: (error: unknown) => errors.push(codeOf(error)) };
  run.snapshot$.subscribe(note);
  run.events$.subscribe(note);
  run.result$(task).subscribe(note);
  run.values$(task).subscribe(note);
  assert.is(codeOf(await rejected(run.result())), 'RUN_LEASED');
  assert.equal(errors, ['RUN_LEASED', 'RUN_LEASED', 'RUN_LEASED', 'RUN_LEASED']);
  open.close();
});

test('a cancelled run goes on where it was; a store that fails ends the run and says why', async () => {
  const store = memory();
  const ran: string[] = [];
  const flow = workflow({ name: 'stopped', state: { n: 0 } });
  const quick = flow.task('quick', {
    run: (_, ctx) => {
      ran.push('quick');
      ctx.update((s) => {
        s.n += 1;
      });
    },
  });
  flow.task('slow', {
    dependencies: [quick],
    run: async (_, ctx) => {
      ran.push(`slow ${ctx.idempotencyKey}`);
      await ctx.sleep(ran.length === 2 ? 10_000 : 1);
    },
  });
  const run = flow.run({ store, runId: 'r' });
  run.events$.subscribe((event) => {
    if (event.type === 'attempt' && event.reason === 'started' && event.taskId === 'slow')
      setImmediate(() => run.cancel());
  });
  assert.is((await run.result()).status, 'cancelled');
  const again = await flow.run({ store, runId: 'r' }).result();
  assert.is(again.status, 'succeeded');
  assert.equal(ran, ['quick', 'slow r/slow', 'slow r/slow']);
  assert.is(again.state.n, 1);

  const full: CheckpointStore = {
    read: () => [],
    runs: () => [],
    remove: () => undefined,
    get: () => undefined,
    put: () => undefined,
    open: () => ({
      entries: [],
      append: () => {
        throw new Error('disk full');
      },
      replace: () => undefined,
      close: () => undefined,
    }),
  };
  for (const durability of ['sync', 'group', 'exit'] as const) {
    const result = await flow
      .run({ store: full, runId: durability, durability })
      .result()
      .catch((error: unknown) => ({ error, status: 'refused' }));
    assert.is.not(result.status, 'succeeded');
    assert.is(codeOf(result.error), 'STORE_FAILED', durability);
  }
});

test('group writes soon, exit only at the end', async () => {
  for (const [durability, early] of [
    ['sync', true],
    ['group', true],
    ['exit', false],
  ] as const) {
    const store = memory();
    const flow = workflow({ name: 'durability' });
    const a = flow.task('a', { run: () => 1 });
    let seen = 0;
    flow.task('b', {
      dependencies: [a],
      run: async (_, ctx) => {
        await ctx.sleep(20);
        seen = store.dump().r?.length ?? 0;
      },
    });
    await flow.run({ store, runId: 'r', durability }).result();
    assert.is(seen > 0, early, durability);
    assert.is(store.dump().r?.length, 3);
  }
});

test('no two tasks of all runs have the same idempotency key', async () => {
  const keys: string[] = [];
  for (const [runId, id] of [
    ['a', 'b/c'],
    ['a/b', 'c'],
    ['a%2Fb', 'c'],
    ['a%', '2Fb/c'],
  ] as const) {
    const flow = workflow({ name: 'keys' });
    flow.task(id, { run: (_, ctx) => void keys.push(ctx.idempotencyKey) });
    await flow.run({ runId }).result();
  }
  assert.equal(keys, ['a/b/c', 'a%2Fb/c', 'a%252Fb/c', 'a%25/2Fb/c']);
});

test.run();
