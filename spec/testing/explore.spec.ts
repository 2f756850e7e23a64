import { concat, delay, of, timer } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as real from '../../lib/index.js';
import * as testing from '../../lib/testing/index.js';
import { type Plant, type Planted, withPlants } from './planted.js';

const { explore, MarbleError, playSchedule } = testing;
type Schedule = testing.Schedule;

/** Groups, resources, retries, timeouts, hedges, state, streams, spawned and joined tasks, handlers. */
function busy({ workflow, latest, optional }: typeof real): real.Workflow {
  const flow = workflow({
    name: 'busy',
    concurrency: 3,
    groups: { api: { concurrency: 2 } },
    resources: { gpu: 2 },
    state: { done: [] as string[] },
    retry: { count: 2, backoff: { initial: 4 } },
    timeout: 30,
  });
  const plan = flow.task('plan', { run: () => timer(3) });
  const parts = [1, 2, 3, 4].map((n) =>
    flow.task(`part${n}`, {
      group: 'api',
      dependencies: [plan],
      run: async (_, ctx) => {
        await ctx.sleep(n * 2);
        ctx.update((state) => {
          state.done.push(ctx.taskId);
        });
        return n;
      },
    }),
  );
  const stream = flow.task('stream', {
    dependencies: [plan],
    run: () => concat(of(1).pipe(delay(2)), of(2).pipe(delay(5))),
  });
  flow.task('live', { dependencies: { stream: latest(stream) }, run: (inputs$) => inputs$ });
  flow.task('heavy', { resources: { gpu: 2 }, run: () => timer(4) });
  flow.task('light', { resources: { gpu: 1 }, run: () => timer(4) });
  flow.task('hedged', { hedge: { after: 2 }, run: () => timer(6) });
  const join = flow.task('join', {
    dependencies: parts.map((part) => optional(part)),
    run: async (_, ctx) => {
      ctx.spawn('rest', { run: () => timer(3) });
      return ctx.join([1, 2].map((n) => ctx.spawn(`child${n}`, { run: () => timer(n) })));
    },
  });
  flow.onTaskComplete(join, (_, add) => add('last', { dependencies: [join], run: () => 'last' }));
  return flow as unknown as real.Workflow;
}

test('2,000 ways with failures, crashes, late and double words: every invariant holds', async () => {
  const seen = await explore(() => busy(real), { schedules: 2_000, failures: 0.25 });
  assert.is(seen.schedules, 2_000);
  assert.ok(seen.crashes > 500, `${seen.crashes} crashes`);
  assert.ok(seen.crashPoints >= 12, `${seen.crashPoints} records`);
  const { partial = 0, succeeded = 0 } = seen.statuses;
  assert.ok(partial > 100 && succeeded > 100, `${partial} partial, ${succeeded} succeeded`);
});

interface Fault {
  readonly plants: readonly Plant[];
  readonly finds: RegExp;
  readonly options?: testing.ExploreOptions;
}

const plants: Record<string, Fault> = {
  'a slot leak': {
    plants: [['schedule/ready-queue.ts', 'slots.active -= 1;', 'if (node.attempt < 2) slots.active -= 1;']],
    finds: /^(no slot is left idle|the run ends)$/,
  },
  'a lost wake-up': {
    plants: [
      [
        'schedule/ready-queue.ts',
        'if (lane.ready.size > 0) this.#lanes.push(lane);',
        'if (lane.ready.size > 1) this.#lanes.push(lane);',
      ],
    ],
    finds: /^(no slot is left idle|the run ends)$/,
  },
  'a commit after publish': {
    plants: [
      [
        'commit/transaction.ts',
        'if (body !== undefined && this.#put(body) === false && journal !== undefined) {',
        'if (body !== undefined) queueMicrotask(() => this.#put(body));\n    if (node === undefined && journal) {',
      ],
    ],
    finds: /^a result is written before it is seen$/,
  },
  'a commit that does not wait for a slow store': {
    plants: [['commit/transaction.ts', 'this.#put(body) === false', 'this.#put(body) === undefined']],
    finds: /^a result is written before it is seen$/,
  },
  'a group that takes one too many': {
    plants: [['schedule/ready-queue.ts', 'group.active >= group.limit', 'group.active > group.limit']],
    finds: /^limits hold$/,
  },
  'a resumed run that forgets': {
    plants: [['commit/recovery.ts', 'this.#remember(node);', 'if (node.id) return undefined;']],
    finds: /^no committed task runs again$/,
  },
  'children that do not come back': {
    plants: [['commit/revival.ts', 'if (back.length > 0) this.#ports.bringBack(back);', '']],
    finds: /^(no result is lost|the run ends)$/,
  },
  'tasks that are announced to run again, and do not': {
    plants: [
      ['commit/revival.ts', 'if (back.length > 0) this.#ports.bringBack(back);', ''],
      [
        'commit/recovery.ts',
        'rerun: [...past.stale].map(([taskId, { reason }]) => ({ taskId, because: reason })),',
        "rerun: [...past.commits.keys()].map((taskId) => ({ taskId, because: '' })),",
      ],
    ],
    finds: /^no result is lost$/,
  },
  'a body that is called again without a word': {
    plants: [
      [
        'execute/context.ts',
        'return replay === undefined ? undefined : { value: this.node.value };',
        'return replay === undefined ? undefined : undefined;',
      ],
    ],
    finds: /^no committed task runs again$/,
  },
  'an attempt beside another one without a slot': {
    plants: [
      [
        'schedule/lifecycle.ts',
        'this.slots.active >= this.slots.limit)',
        'this.slots.active > this.slots.limit)',
      ],
      ['schedule/ready-queue.ts', 'slots.active >= slots.limit ||', 'slots.active > slots.limit ||'],
    ],
    finds: /^limits hold$/,
  },
  'a failure that is passed over': {
    plants: [
      [
        'observe/report.ts',
        'return isLost(node) || isForgiven(node) ||',
        'return isLost(node) || isForgiven ||',
      ],
    ],
    finds: /^no early success$/,
  },
  'a shorter log without its first result': {
    plants: [
      [
        'commit/compact.ts',
        'const before = [first, ...commits, ',
        'const before = [first, ...commits.slice(1), ',
      ],
    ],
    finds: /^no result is lost$/,
    options: { compact: { keep: 1 } },
  },
};

for (const [name, { plants: list, finds, options }] of Object.entries(plants)) {
  test(`${name} is found within 2,000 ways, and the test it prints fails only with the bug`, async () => {
    await withPlants(list, async (copy: Planted) => {
      const subject = (): real.Workflow => busy(copy.main);
      let found: testing.ExploreError | undefined;
      try {
        await copy.testing.explore(subject, { schedules: 2_000, failures: 0.25, ...options });
      } catch (error) {
        found = error as testing.ExploreError;
      }
      assert.ok(
        found !== undefined && found.name === 'ExploreError',
        `${name} was not found: ${String(found)}`,
      );
      assert.match(found.violation.invariant, finds);
      const printed = /expectInvariants\(flow, (.*)\);/.exec(found.message)?.[1] as string;
      if (process.env.SHOW === '1') console.log(found.message);
      const schedule = new Function(`return ${printed}`)() as Schedule;
      assert.equal(schedule, found.schedule);
      assert.is(
        (await copy.testing.playSchedule(subject, schedule, options))?.invariant,
        found.violation.invariant,
      );
      assert.is(await playSchedule(() => busy(real), schedule, options), undefined);
    });
  });
}

const { workflow, race, quorum, fallback, settled, optional } = real;
const after =
  <T>(ms: number, value: T) =>
  async (_: unknown, ctx: real.TaskContext): Promise<T> => {
    await ctx.sleep(ms);
    return value;
  };
const failing = (ms: number) => async (_: unknown, ctx: real.TaskContext) => {
  await ctx.sleep(ms);
  throw new MarbleError('meant');
};

/** Correct workflows in which something may end badly, or be forgotten, and all is well. */
const harmless: Record<string, () => real.Workflow<never, never, never>> = {
  'a race with a loser, a failure and what only they need': () => {
    const flow = workflow({ name: 'race', concurrency: 3 });
    const source = flow.task('source', { run: after(1, 0) });
    const slow = flow.task('slow', { dependencies: [source], run: after(6, 'slow') });
    const bad = flow.task('bad', { run: failing(1) });
    const first = flow.task('first', {
      dependencies: [race([bad, slow, flow.task('fast', { run: after(3, 'fast') })])],
      run: ([one]) => one,
    });
    flow.task('last', { dependencies: [first, optional(slow)], run: () => 1 });
    return flow as never;
  },
  'a quorum, of tasks and of children': () => {
    const flow = workflow({ name: 'quorum', concurrency: 3 });
    const five = [1, 2, 3, 4, 5].map((n) => flow.task(`t${n}`, { run: n === 2 ? failing(n) : after(n, n) }));
    flow.task('three', { dependencies: [quorum(3, five)], run: ([three]) => three.length });
    flow.task('parent', {
      run: async (_, ctx) => {
        const children = [1, 2, 3].map((n) => ctx.spawn(`k${n}`, { run: after(n, n) }));
        return (await ctx.join(quorum(2, children))).length;
      },
    });
    return flow as never;
  },
  'a fallback whose first candidate fails, in a group of one': () => {
    const flow = workflow({ name: 'fallback', concurrency: 2, groups: { near: { concurrency: 1 } } });
    for (const id of ['a', 'b'])
      flow.task(id, {
        run: fallback([
          { name: 'broken', group: 'near', run: failing(2) },
          { name: 'good', run: after(3, id) },
        ]),
      });
    return flow as never;
  },
  'a fallback whose round is repeated': () => {
    const flow = workflow({ name: 'round', concurrency: 2 });
    const a = flow.task('a', {
      retry: { count: 1, backoff: () => 2 },
      run: fallback([
        { name: 'x', run: failing(1) },
        { name: 'y', run: failing(1) },
      ]),
    });
    flow.task('b', { dependencies: [settled(a)], run: ([{ status }]) => status });
    return flow as never;
  },
  'items that are forgotten': () => {
    const flow = workflow({ name: 'each', concurrency: 2, state: { sum: 0 } });
    const each = flow.each('each', {
      from: [1, 2, 3, 4],
      key: (n) => `n${n}`,
      keep: true,
      run: async (n, ctx) => {
        await ctx.sleep(n);
        ctx.update((state) => {
          state.sum += n;
        });
        return n;
      },
    });
    flow.task('sum', { dependencies: { each }, run: ({ each }) => each.values.length });
    return flow as never;
  },
  'attempts beside slow ones, with limits and timeouts': () => {
    const flow = workflow({ name: 'hedge', concurrency: 3, groups: { g: { concurrency: 2 } } });
    const all = [1, 2, 3].map((n) =>
      flow.task(`t${n}`, {
        group: 'g',
        hedge: { after: 2, max: 2 },
        timeout: 40,
        retry: { count: 1, backoff: () => 2 },
        run: after(5, n),
      }),
    );
    flow.task('end', { dependencies: all.map((one) => optional(one)), run: () => 1 });
    return flow as never;
  },
};

for (const [name, flow] of Object.entries(harmless)) {
  test(`no false alarm for ${name}`, async () => {
    for (const failures of [0, 0.25])
      for (const compact of [undefined, { keep: 1 }]) {
        const options = compact === undefined ? {} : { compact };
        const seen = await explore(flow, { schedules: 150, failures, ...options });
        assert.ok(seen.crashes > 40, `${seen.crashes} crashes`);
      }
  });
}

test('processes die at every record of a log, and at each step that makes it shorter', async () => {
  const flow = (): real.Workflow => {
    const line = workflow({ name: 'line', concurrency: 1, state: { text: '' } });
    let before: real.Task[] = [];
    for (let i = 0; i < 8; i++) {
      const run = async (_: unknown, ctx: real.TaskContext<{ text: string }>): Promise<void> => {
        await ctx.sleep(1);
        ctx.update((state) => {
          state.text = `${i} `.repeat(99);
        });
      };
      before = [line.task(`t${i}`, { dependencies: before, run })];
    }
    return line as unknown as real.Workflow;
  };
  const whole = await explore(flow, { schedules: 400 });
  assert.is(whole.crashPoints, whole.records);
  const short = await explore(flow, { schedules: 800, compact: { keep: 1 } });
  assert.is(short.crashPoints, short.records);
  // Compactions are writes of their own.
  assert.ok(short.records > whole.records, `${short.records} and ${whole.records} writes`);
});

test('invariants of the user are asked too, and the failure is short', async () => {
  const flow = (): real.Workflow => {
    const w = real.workflow({ name: 'race', state: { last: '' } });
    for (const id of ['a', 'b'])
      w.task(id, {
        run: async (_, ctx) => {
          await ctx.sleep(5);
          ctx.update((state) => {
            state.last = id;
          });
        },
      });
    return w as unknown as real.Workflow;
  };
  const invariants = [
    {
      name: 'b is last',
      end: (life: testing.ObservedRun) =>
        life.trialRun.result !== undefined && (life.trialRun.result.state as { last: string }).last !== 'b'
          ? 'a was'
          : undefined,
    },
  ];
  try {
    await explore(flow, { invariants });
    assert.unreachable();
  } catch (error) {
    const { message, schedule } = error as testing.ExploreError;
    assert.match(message, /test\('race: b is last', marbles\(\(\{ expectInvariants \}\)/);
    assert.is(Object.keys(schedule.attempts ?? {}).length, 1);
    assert.is(schedule.crashes, undefined);
    const pasted = testing.marbles(({ expectInvariants }) =>
      expectInvariants(flow, schedule, { invariants }),
    );
    const failed = await pasted().then(
      () => '',
      (problem: Error) => problem.message,
    );
    assert.match(failed, /"b is last" is broken at \d+ ms: a was/);
  }
});

/** Three branches that ask a person, with everything that may not happen to an answer. */
function branches(): real.Workflow {
  const flow = real.workflow({ name: 'branches', concurrency: 2, retry: { count: 1, backoff: () => 3 } });
  const asking = ['a', 'b', 'c'].map((id) =>
    flow.task(id, {
      run: async (_, ctx) => {
        await ctx.sleep(2);
        const answer = await ctx.ask(real.human(real.typed<string>(), { key: 'q', prompt: id }));
        await ctx.sleep(3);
        return `${id}=${answer}`;
      },
    }),
  );
  flow.task('join', { dependencies: asking.map((one) => real.optional(one)), run: (all) => all.join() });
  return flow as unknown as real.Workflow;
}

test('2,000 ways of suspend, answer, finish, fail and crash in three branches: no answer is lost', async () => {
  let acknowledged = new Set<string>();
  let answered = 0;
  const sent = new WeakMap<testing.ObservedRun, Set<string>>();
  const answers: testing.Invariant = {
    name: 'no answer is lost, asked for twice or given to another',
    rest: (life) => {
      const mine = sent.get(life) ?? new Set();
      sent.set(life, mine);
      for (const { id, taskId } of life.trialRun.run.questions()) {
        if (acknowledged.has(id)) return `${id} was answered and is open again`;
        if (mine.has(id)) continue;
        mine.add(id);
        life.scheduler.schedule(
          () => {
            life.trialRun.run.answer(id, taskId).then(
              () => {
                // What a dead process hears nobody knows.
                if (life.crashed) return;
                acknowledged.add(id);
                answered += 1;
              },
              () => undefined,
            );
          },
          (life.now * 7 + id.charCodeAt(0)) % 11,
        );
      }
      return undefined;
    },
    end: (life) => {
      for (const id of ['a', 'b', 'c']) {
        const value = life.trialRun.result?.results.get(id);
        if (value !== undefined && value !== `${id}=${id}`) return `${id} got ${String(value)}`;
      }
      return undefined;
    },
  };
  const seen = await explore(branches, {
    schedules: 2_000,
    failures: 0.2,
    invariants: [answers],
    onLife: (life) => {
      if (life.number === 1) acknowledged = new Set();
    },
  });
  assert.ok(answered > 4_000 && seen.crashes > 500, `${answered} answers, ${seen.crashes} crashes`);
  const { partial = 0, succeeded = 0 } = seen.statuses;
  assert.ok(partial > 50 && succeeded > 500, `${partial} partial, ${succeeded} succeeded`);
});

test('the same seeds see the same', async () => {
  const once = (): Promise<testing.Exploration> =>
    explore(() => busy(real), { schedules: 30, seed: 7, failures: 0.2 });
  assert.equal(await once(), await once());
});

test.run();
