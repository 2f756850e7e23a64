import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LogRecord } from '../../lib/entry/records.js';
import type { MemoryStore } from '../../lib/entry/stores.js';
import {
  type CheckpointCorruptError,
  channel,
  human,
  memory,
  typed,
  type Workflow,
  workflow,
} from '../../lib/index.js';
import {
  explore,
  type Invariant,
  type ObservedRun,
  playSchedule,
  SimulationScheduler,
  simulate,
} from '../../lib/testing/index.js';
import { LateStore } from '../support/late-store.js';

const said = channel<string>('said');

/** Records of a run as they are in the store. */
function recordsOf(store: MemoryStore, runId: string): LogRecord[] {
  return [...store.read(runId)].map(({ body }) => JSON.parse(body) as LogRecord);
}

/** Two who talk and ask each other, and one who writes down what they say; made anew for each process. */
function debate(): Workflow {
  const floor = channel<string>('floor', { capacity: 2 });
  const flow = workflow({
    name: 'debate',
    concurrency: 2,
    state: { heard: [] as string[] },
    retry: { count: 3, backoff: () => 3 },
  });
  flow.task('pro', {
    run: async (_, ctx) => {
      for (const n of [1, 2, 3]) {
        await ctx.send(floor, `pro ${n}`);
        await ctx.sleep(2);
      }
      let asked = 0;
      for await (const request of ctx.requests$<string>({ from: 'con' })) {
        asked += 1;
        await request.reply(`because of ${request.value}`);
      }
      return asked;
    },
  });
  flow.task('con', {
    run: async (_, ctx) => {
      const heard: string[] = [];
      for await (const { value } of ctx.receive$(floor, { from: 'pro' })) {
        const why = await ctx.ask('pro', value, { schema: typed<string>() });
        heard.push(value, why);
        // The same words each time: told apart by their number alone.
        await ctx.send(floor, 'no');
        if (value === 'pro 3') break;
      }
      return heard;
    },
  });
  flow.task('clerk', {
    run: async (_, ctx) => {
      const lines: string[] = [];
      for await (const { from, value } of ctx.receive$(floor, { from: ['pro', 'con'] })) {
        lines.push(`${from}: ${value}`);
        await ctx.sleep(1);
      }
      ctx.update((state) => {
        state.heard.push(...lines);
      });
      return lines;
    },
  });
  return flow as unknown as Workflow;
}

const proWords = [1, 2, 3].map((n) => `pro ${n}`);

/** Each committed reader was given each message once, in order, whatever ran again. */
const exactlyOnce: Invariant = {
  name: 'exactly once to committed readers',
  end: (life: ObservedRun) => {
    const { result } = life.trialRun;
    if (result === undefined) return undefined;
    const done = (id: string): boolean => result.results.has(id);
    const differs = (what: string, found: unknown, wanted: unknown): string | undefined =>
      JSON.stringify(found) === JSON.stringify(wanted) ? undefined : `${what}: ${JSON.stringify(found)}`;
    const lines = (result.results.get('clerk') ?? []) as string[];
    const of = (who: string): string[] => lines.filter((line) => line.startsWith(`${who}: `));
    const messages = recordsOf(memory(life.dump), 'explored').filter((one) => one.kind === 'message');
    const ids = messages.map(({ id }) => id);
    return (
      (done('clerk') && done('pro')
        ? differs(
            'clerk of pro',
            of('pro'),
            proWords.map((one) => `pro: ${one}`),
          )
        : undefined) ??
      (done('clerk') && done('con')
        ? differs('clerk of con', of('con'), Array(3).fill('con: no'))
        : undefined) ??
      (done('clerk') ? differs('state', (result.state as { heard: unknown }).heard, lines) : undefined) ??
      (done('con')
        ? differs(
            'con',
            result.results.get('con'),
            proWords.flatMap((one) => [one, `because of ${one}`]),
          )
        : undefined) ??
      (done('pro') && done('con') ? differs('pro', result.results.get('pro'), 3) : undefined) ??
      differs('ids', new Set(ids).size, ids.length) ??
      (ids.length > 9 ? `${ids.length} messages in the log` : undefined)
    );
  },
};

/** Nothing is given to a reader that a crash could take back. */
const written: Invariant = {
  name: 'a message is written before it is read',
  event: (event, life) => {
    if (life.durability !== 'sync' || event.type !== 'message' || event.reason !== 'received')
      return undefined;
    const found = recordsOf(memory(life.dump), 'explored').some(
      (one) => one.kind === 'message' && one.id === event.messageId,
    );
    return found ? undefined : `${event.messageId} is read before it is in the log`;
  },
};

const invariants = [exactlyOnce, written];

test('the workflow of this file comes to its end by itself', async () => {
  const { result } = await simulate(debate());
  assert.is(result.status, 'succeeded', String(result.report));
});

test('600 ways with failures, crashes, late and double words: each message once to committed readers', async () => {
  const seen = await explore(debate, { schedules: 600, failures: 0.15, records: 20, invariants });
  assert.ok(seen.crashes > 100 && seen.crashPoints >= 12, JSON.stringify(seen));
  assert.ok((seen.statuses.succeeded ?? 0) > 500, JSON.stringify(seen));
});

test('a crash at each record, with and without it, once and twice', async () => {
  for (const durability of ['sync', 'group'] as const)
    for (const lost of [true, false])
      for (let record = 1; record <= 18; record++) {
        const crash = lost ? ({ record, lost } as const) : { record };
        for (const crashes of [[crash], [crash, crash]]) {
          const way = { seed: record, durability, latency: record % 3, crashes };
          const violation = await playSchedule(debate, way, { invariants });
          assert.is(violation, undefined, JSON.stringify({ way, violation }));
        }
      }
});

test('the log has the messages, the replies and where late readers begin', async () => {
  const news = channel<string>('news', { replay: 1 });
  const flow = workflow({ name: 'logged' });
  flow.task('a', {
    run: async (_, ctx) => {
      await ctx.send(news, 'old');
      await ctx.send(news, 'new', { key: 'k' });
      await ctx.sleep(5);
      return ctx.ask('b', { why: true });
    },
  });
  flow.task('b', {
    run: async (_, ctx) => {
      await ctx.sleep(3);
      const { value } = await ctx.receive(news);
      for await (const request of ctx.requests$({ from: 'a' })) await request.reply(new Map([[1, value]]));
      return value;
    },
  });
  const store = memory();
  const { result } = await simulate(flow, { store, runId: 'logged' });
  assert.equal(result.results.get('a'), new Map([[1, 'new']]));
  const { records } = await flow.history(store, 'logged');
  const envelope = { kind: 'message', v: 1, channel: 'news', from: 'a', at: 0, attempt: 1 };
  assert.equal(
    records.filter(({ kind }) => ['message', 'reply', 'reader'].includes(kind)),
    [
      { ...envelope, id: 'news/a/1', seq: 1, value: 'old' },
      { ...envelope, id: 'news/a/2', seq: 2, key: 'k', value: 'new' },
      { kind: 'reader', task: 'b', channel: 'news', after: 1 },
      { ...envelope, id: '@b/a/1', channel: '@b', seq: 1, at: 5, value: { why: true } },
      { kind: 'reply', v: 1, id: '@b/a/1', from: 'b', at: 5, value: new Map([[1, 'new']]) },
    ],
  );
});

test('going on: committed ones are not asked again, others get all of it again', async () => {
  const store = memory();
  const ran: string[] = [];
  let broken = true;
  const define = (): Workflow => {
    const flow = workflow({ name: 'goes-on' });
    flow.task('speaker', {
      run: async (_, ctx) => {
        ran.push('speaker');
        for (const word of ['one', 'two']) await ctx.send(said, word);
        for await (const request of ctx.requests$({ from: 'asker' })) {
          await request.reply('yes');
          break;
        }
      },
    });
    flow.task('asker', {
      run: async (_, ctx) => {
        ran.push('asker');
        const heard = [(await ctx.receive(said)).value, await ctx.ask('speaker', 'really?')];
        if (broken) throw new Error('broken');
        return [...heard, (await ctx.receive(said)).value];
      },
    });
    return flow as unknown as Workflow;
  };
  const first = await define().run({ store, runId: 'r' }).result();
  assert.is(first.status, 'partial');
  broken = false;
  const second = await define().run({ store, runId: 'r', retry: 'failed' }).result();
  assert.is(second.status, 'succeeded');
  assert.is(second.tasks.get('speaker')?.status, 'restored');
  assert.equal(second.results.get('asker'), ['one', 'yes', 'two']);
  assert.equal(ran, ['speaker', 'asker', 'asker']);
  assert.is(recordsOf(store, 'r').filter(({ kind }) => kind === 'message').length, 3);
});

test('a fork takes what was said up to its record', async () => {
  const flow = workflow({ name: 'forked' });
  flow.task('speaker', {
    run: async (_, ctx) => {
      for (const word of ['one', 'two', 'three']) await ctx.send(said, word);
    },
  });
  const reader = flow.task('reader', {
    run: async (_, ctx) => {
      const heard: string[] = [];
      for await (const { value } of ctx.receive$(said, { from: 'speaker' })) heard.push(value);
      return heard;
    },
  });
  const store = memory();
  await flow.run({ store, runId: 'whole' }).result();
  const { records } = await flow.history(store, 'whole');
  const at = 1 + records.findIndex((one) => one.kind === 'message' && one.value === 'two');
  const fork = await flow.fork(store, 'whole', { runId: 'fork', at }).result();
  assert.equal(fork.results.get(reader), ['one', 'two', 'three']);
  const kept = recordsOf(store, 'fork').flatMap((one) => (one.kind === 'message' ? [one.id] : []));
  assert.equal(kept, ['said/speaker/1', 'said/speaker/2', 'said/speaker/3']);
});

test('a run that only people can help exits although others listen, and goes on with what was said', async () => {
  const store = memory();
  const define = (): Workflow => {
    const flow = workflow({ name: 'exits' });
    flow.task('editor', {
      run: async (_, ctx) => {
        await ctx.send(said, 'wait');
        const ok = await ctx.ask(human(typed<boolean>(), 'Print?'));
        await ctx.send(said, ok ? 'print' : 'do not');
      },
    });
    flow.task('printer', {
      run: async (_, ctx) => {
        const heard: string[] = [];
        for await (const { value } of ctx.receive$(said, { from: 'editor' })) heard.push(value);
        return heard;
      },
    });
    return flow as unknown as Workflow;
  };
  const first = await define().run({ store, runId: 'r', suspend: 'exit' }).result();
  assert.is(first.status, 'suspended');
  const second = await define().answer(store, 'r', 'editor?1', true);
  assert.equal(second.results.get('printer'), ['wait', 'print']);
});

test('compaction keeps what was said', async () => {
  const flow = workflow({ name: 'compacted' });
  flow.task('speaker', {
    run: async (_, ctx) => {
      for (const word of ['one', 'two', 'three']) await ctx.send(said, word);
      throw new Error('and fails');
    },
  });
  const store = memory();
  await flow.run({ store, runId: 'r' }).result();
  await flow.compact(store, 'r', { keep: 0 });
  const kept = recordsOf(store, 'r').flatMap((one) => (one.kind === 'message' ? [one.value] : []));
  assert.equal(kept, ['one', 'two', 'three']);
});

test('with sync durability and a store that answers later, nobody reads what is not written', async () => {
  const inner = memory();
  const store = new LateStore(inner);
  store.auto = () => 5;
  const flow = workflow({ name: 'late' });
  const heard: string[] = [];
  flow.task('speaker', {
    run: async (_, ctx) => {
      await ctx.send(said, 'one');
      return ctx.ask('reader', 'got it?');
    },
  });
  flow.task('reader', {
    run: async (_, ctx) => {
      const { id, value } = await ctx.receive(said);
      const kept = recordsOf(inner, 'r').some((one) => one.kind === 'message' && one.id === id);
      heard.push(`${value} ${kept ? 'is' : 'is not'} in the log`);
      for await (const request of ctx.requests$({ from: 'speaker' })) {
        await request.reply('yes');
        heard.push(
          `reply ${recordsOf(inner, 'r').some(({ kind }) => kind === 'reply') ? 'is' : 'is not'} in the log`,
        );
      }
    },
  });
  const { status, results } = await flow.run({ store, runId: 'r', durability: 'sync' }).result();
  assert.is(status, 'succeeded');
  assert.is(results.get('speaker'), 'yes');
  assert.equal(heard, ['one is in the log', 'reply is in the log']);
});

test('a damaged or newer envelope is refused, and nothing runs', async () => {
  const wrong: [Partial<Record<string, unknown>>, RegExp][] = [
    [{ v: 2 }, /its envelope is of version 2, not 1/],
    [{ id: 7 }, /it names no message, task or time/],
    [{ seq: 'first' }, /it names no channel/],
    [{ kind: 'reply', v: 3 }, /its envelope is of version 3, not 1/],
    [{ kind: 'reader', after: -1 }, /it names no reader/],
  ];
  for (const [change, message] of wrong) {
    const store = memory();
    const flow = workflow({ name: 'damaged' });
    let ran = 0;
    flow.task('a', {
      run: () => {
        ran += 1;
      },
    });
    const log = store.open('r');
    const record = {
      kind: 'message',
      v: 1,
      id: 'said/a/1',
      channel: 'said',
      from: 'a',
      seq: 1,
      at: 0,
      attempt: 1,
      value: 1,
    };
    log.append([
      {
        seq: 1,
        body: JSON.stringify({
          kind: 'run',
          format: 1,
          workflow: 'damaged',
          input: { $: 'undefined' },
          at: 0,
        }),
      },
      { seq: 2, body: JSON.stringify({ ...record, task: 'a', ...change }) },
    ]);
    log.close();
    try {
      await flow.run({ store, runId: 'r', scheduler: new SimulationScheduler() }).result();
      assert.unreachable();
    } catch (error) {
      assert.is((error as CheckpointCorruptError).code, 'CHECKPOINT_CORRUPT', String(error));
      assert.match((error as Error).message, message);
    }
    assert.is(ran, 0);
  }
});

test.run();
