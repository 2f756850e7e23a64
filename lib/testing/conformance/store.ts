import type { MaybePromise } from '../../kernel/maybe-promise.js';
import type { RunRow } from '../../model/run-row.js';
import type { CheckpointStore, Durability, LogEntry } from '../../model/store.js';
import { workflow } from '../../workflow.js';
import { type ConformanceCheck, refused, same } from './check.js';

/** The store that {@link storeConformance} is to check. */
export interface StoreSubject {
  /** A new, empty store. */
  make(): MaybePromise<CheckpointStore>;
  /**
   * Another object for the same place, as another process would have it. Default: `store` itself, for a store that
   * no other process can use.
   */
  reopen?(store: CheckpointStore): MaybePromise<CheckpointStore>;
  /** It keeps rows of runs, and answers `runs(query)` with those asked for. Default false. */
  readonly rows?: boolean;
}

const entries = (from: number, ...bodies: string[]): LogEntry[] =>
  bodies.map((body, i) => ({ seq: from + i, body }));
const bodiesOf = (log: readonly LogEntry[]): string[] => log.map(({ body }) => body);

/** Texts that were lost on the way to a database before. */
const texts = [
  '',
  '"zwei ✓ 𝒳 \u202e"',
  '{"a":"\\u0000 \\ud800"}',
  "'; drop table log; --",
  '\\x41 \\\\ $1 %s',
  'line\r\nline\ttab',
  'x'.repeat(1_000_000),
];

/** What every {@link CheckpointStore} must do, as checks to be run by any test runner; each has its own store. */
export function storeConformance(subject: StoreSubject): readonly ConformanceCheck[] {
  const reopen = subject.reopen ?? ((store: CheckpointStore) => store);
  const checks: Record<string, (store: CheckpointStore) => Promise<void>> = {
    'a run that is not there is empty, and asking does not make it': async (store) => {
      same(await store.read('none'), [], 'read');
      const log = await store.open('none');
      same(log.entries, [], 'entries');
      await log.close();
      same(await store.read('none'), [], 'read after open');
    },

    'records come back as they were, in order, run by run': async (store) => {
      const log = await store.open('a');
      await log.append(entries(1, ...texts));
      await log.append([]);
      await log.append(entries(texts.length + 1, 'last'));
      const other = await store.open('b ✓');
      await other.append(entries(1, 'of b'));
      same(bodiesOf(log.entries), [], 'entries are those at the opening');
      await log.close();
      await other.close();
      const again = await (await reopen(store)).open('a');
      same(again.entries, entries(1, ...texts, 'last'), 'entries');
      await again.close();
      same(await store.read('b ✓'), entries(1, 'of b'), 'the other run');
    },

    'an append is all or nothing, and only the next records are taken': async (store) => {
      const log = await store.open('a');
      await log.append(entries(1, 'one', 'two'));
      for (const wrong of [
        entries(2, 'again'),
        entries(4, 'gap'),
        [...entries(3, 'three'), ...entries(3, 'twice')],
      ])
        await refused(
          () => log.append(wrong),
          'STORE_FAILED',
          `records ${wrong.map(({ seq }) => seq)} after 2`,
        );
      same(bodiesOf(await store.read('a')), ['one', 'two'], 'read');
      await log.append(entries(3, 'three'));
      same(bodiesOf(await store.read('a')), ['one', 'two', 'three'], 'read');
      await log.close();
    },

    'replaced records are there at once in place of all, and appends follow them': async (store) => {
      const other = await reopen(store);
      const log = await store.open('a');
      await log.append(entries(1, 'one', 'two', 'three', 'four'));
      await refused(() => log.replace(entries(2, 'two')), 'STORE_FAILED', 'a replacement that begins with 2');
      same(bodiesOf(await other.read('a')), ['one', 'two', 'three', 'four'], 'nothing changed');
      await log.replace(entries(1, 'short', 'three'));
      same(await other.read('a'), entries(1, 'short', 'three'), 'shorter');
      await log.append(entries(3, 'next'));
      await log.replace(entries(1, 'a', 'b', 'c', 'd', 'e'));
      await log.append(entries(6, 'last'));
      same(await other.read('a'), entries(1, 'a', 'b', 'c', 'd', 'e', 'last'), 'longer');
      await log.close();
      const again = await other.open('a');
      same(bodiesOf(again.entries), ['a', 'b', 'c', 'd', 'e', 'last'], 'entries');
      await again.close();
    },

    'runs are listed and removed, but not while somebody has them': async (store) => {
      const begun = Date.now();
      for (const runId of ['a', 'b']) {
        const log = await store.open(runId);
        await log.append(entries(1, 'one', 'two'));
        if (runId === 'a') await log.replace(entries(1, 'one'));
        await log.close();
      }
      await (await store.open('empty')).close();
      const other = await reopen(store);
      const runs = [...(await other.runs())].sort((x, y) => (x.runId < y.runId ? -1 : 1));
      same(
        runs.map(({ runId, records }) => [runId, records]),
        [
          ['a', 1],
          ['b', 2],
        ],
        'runs',
      );
      // A server may have a clock of its own.
      same(
        runs.filter(({ updatedAt }) => Math.abs(updatedAt - begun) > 60_000).length,
        0,
        'runs of another time',
      );
      const log = await store.open('a');
      await refused(() => other.remove('a'), 'RUN_LEASED', 'removing one that is open');
      await log.close();
      await other.remove('a');
      await other.remove('none');
      same(await store.read('a'), [], 'read of a removed one');
      same(
        (await store.runs()).map(({ runId }) => runId),
        ['b'],
        'runs after it',
      );
      const anew = await store.open('a');
      await anew.append(entries(1, 'anew'));
      await anew.close();
      same(bodiesOf(await other.read('a')), ['anew'], 'the same id again');
    },

    'one at a time may write a run; others may read it, and write other runs': async (store) => {
      const other = await reopen(store);
      const log = await store.open('a');
      for (const one of [store, other]) await refused(() => one.open('a'), 'RUN_LEASED', 'a second open');
      await log.append(entries(1, 'one'));
      same(bodiesOf(await other.read('a')), ['one'], 'read by another');
      const apart = await other.open('b');
      await apart.close();
      await log.close();
      const next = await other.open('a');
      same(bodiesOf(next.entries), ['one'], 'entries of the next');
      await refused(() => store.open('a'), 'RUN_LEASED', 'the first, while the next has it');
      await next.append(entries(2, 'two'));
      await next.close();
    },

    'of many who open a run at once one gets it': async (store) => {
      const stores = await Promise.all(Array.from({ length: 8 }, () => reopen(store)));
      const tries = await Promise.allSettled(stores.map(async (one) => one.open('a')));
      same(tries.filter(({ status }) => status === 'fulfilled').length, 1, 'how many have it');
    },

    'a reader sees an append whole or not at all': async (store) => {
      const other = await reopen(store);
      const log = await store.open('a');
      for (let from = 1; from <= 301; from += 100) {
        const bodies = Array.from({ length: 100 }, (_, i) => `record ${from + i}`);
        const writing = log.append(entries(from, ...bodies));
        const seen = await Promise.all([other.read('a'), other.read('a'), other.read('a')]);
        await writing;
        for (const { length } of seen) same(length % 100, 0, `records seen, ${length}, modulo 100`);
      }
      same((await other.read('a')).length, 400, 'records in the end');
      await log.close();
    },

    'twenty runs at once do not disturb each other': async (store) => {
      const runs = Array.from({ length: 20 }, (_, i) => `run ${i}`);
      await Promise.all(
        runs.map(async (runId) => {
          const log = await store.open(runId);
          for (let seq = 1; seq <= 10; seq++) await log.append(entries(seq, `${runId}, ${seq}`));
          await log.close();
        }),
      );
      for (const runId of runs)
        same(
          bodiesOf(await store.read(runId)),
          Array.from({ length: 10 }, (_, i) => `${runId}, ${i + 1}`),
          runId,
        );
    },

    'texts are kept under keys, the newest counts': async (store) => {
      same(await store.get('none'), undefined, 'no text');
      const long = `key ${'k'.repeat(100_000)}`;
      for (const key of ['a', 'b ✓', long]) for (const text of texts) await store.put(key, text);
      await store.put('a', 'newest');
      const other = await reopen(store);
      same(await other.get('a'), 'newest', 'a');
      same(await other.get('b ✓'), texts.at(-1), 'b');
      same(await other.get(long), texts.at(-1), 'a long key');
      same(await other.get('A'), undefined, 'another key');
    },

    'texts kept for a run go with it, or when its records are replaced': async (store) => {
      const other = await reopen(store);
      for (const runId of ['a', 'b']) {
        const log = await store.open(runId);
        await log.append(entries(1, 'one'));
        await log.close();
      }
      for (const [key, runId] of [['x', 'a'], ['y', 'a'], ['z', 'b'], ['taken', 'a'], ['for good']] as const)
        await store.put(key, `text of ${key}`, runId);
      await store.put('taken', 'newer', 'b');
      const log = await store.open('a');
      await log.replace(entries(1, 'short'), ['x', 'z']);
      await log.close();
      same(await other.get('x'), undefined, 'a text that went with old records');
      same(await other.get('y'), 'text of y', 'a text that stays with new records');
      same(await other.get('z'), 'text of z', 'a text of another run');
      await other.remove('a');
      same(await store.get('y'), undefined, 'a text of a removed run');
      same(await store.get('taken'), 'newer', 'a text that another run has put since');
      same(await store.get('for good'), 'text of for good', 'a text of no run');
      await other.remove('b');
      same(await store.get('z'), undefined, 'a text of the other run');
    },
  };
  if (subject.rows === true)
    checks['rows of runs are kept with records and at the end, and listed as asked'] = (store) =>
      listsRows(store, reopen);
  for (const durability of ['sync', 'group', 'exit'] as const)
    checks[`a run that failed goes on where it was (${durability})`] = (store) =>
      goesOn(store, reopen, durability);
  return Object.entries(checks).map(([name, check]) => ({
    name,
    run: async () => check(await subject.make()),
  }));
}

async function listsRows(store: CheckpointStore, reopen: NonNullable<StoreSubject['reopen']>): Promise<void> {
  const row = (startedAt: number, more: Partial<RunRow> = {}): RunRow => ({
    workflow: 'brief',
    status: 'running',
    tags: { tenant: 'acme', 'a "b"': "it's ✓\0\ud800" },
    startedAt,
    ...more,
  });
  const counts = { succeeded: 1, failed: 2, skipped: 3, cancelled: 4, restored: 5, suspended: 6, waiting: 7 };
  const other = await reopen(store);
  for (const [runId, first, last] of [
    ['a', row(3_000), row(9_000, { status: 'failed', endedAt: 10_000, counts, error: "x'\0 ✓" })],
    ['b', row(2_000, { workflow: "it's" })],
    [
      'c',
      row(2_000, { tags: { tenant: 'other' } }),
      row(2_000, { tags: { tenant: 'other' }, status: 'succeeded' }),
    ],
    ['d', row(1_000, { tags: {} })],
  ] as const) {
    const log = await store.open(runId);
    await log.append(entries(1, 'one'), first);
    await log.append(entries(2, 'two'));
    await log.close(last);
  }
  // Written by a version without rows: it counts by the time of its last record.
  const old = await store.open('old ✓');
  await old.append(entries(1, 'one'));
  await old.close();
  const ids = async (query: Parameters<CheckpointStore['runs']>[0]): Promise<string[]> =>
    (await other.runs(query)).map(({ runId }) => runId);
  same(await ids({}), ['old ✓', 'a', 'c', 'b', 'd'], 'all, the one that began last first');
  same(await ids({ limit: 2 }), ['old ✓', 'a'], 'the first two');
  same(await ids({ after: 'a', limit: 2 }), ['c', 'b'], 'the next two');
  same(await ids({ after: 'd' }), [], 'behind the last');
  same(await ids({ after: 'none' }), [], 'behind one that is not there');
  same(await ids({ status: 'running' }), ['b', 'd'], 'by status');
  same(await ids({ status: 'running', after: 'b' }), ['d'], 'by status, the next');
  same(await ids({ workflow: "it's" }), ['b'], 'by workflow');
  same(await ids({ tag: 'tenant=acme' }), ['a', 'b'], 'by tag');
  same(await ids({ tag: 'a "b"=it\'s ✓\ufffd\ufffd' }), ['a', 'b'], 'by a tag of any text');
  same(await ids({ tag: 'tenant=acme', status: 'failed', workflow: 'brief' }), ['a'], 'by all three');
  const [a] = await other.runs({ status: 'failed' });
  same(
    [
      a?.startedAt,
      a?.endedAt,
      { ...counts, ...a?.counts },
      Object.keys(a?.counts ?? {}).length,
      a?.error,
      a?.records,
    ],
    [3_000, 10_000, counts, 7, "x'\ufffd ✓", 2],
    'what the end of a run says, and when it began',
  );
  const again = await other.open('a');
  await again.append(entries(3, 'three'), row(20_000, { tags: {} }));
  const [goesOn] = await store.runs({ after: 'old ✓', limit: 1 });
  same(
    [goesOn?.startedAt, goesOn?.status, goesOn?.endedAt, goesOn?.tags?.tenant],
    [3_000, 'running', undefined, 'acme'],
    'one that goes on',
  );
  await again.append(entries(4, 'four'), row(20_000, { tags: { tenant: 'new' } }));
  same(await ids({ tag: 'tenant=new' }), ['a'], 'one that goes on with other tags');
  same(await ids({ tag: 'tenant=acme' }), ['b'], 'by a tag that one has no more');
  same(goesOn?.isLeased !== false, true, 'one that goes on has a process');
  await again.close();
  const [left] = await store.runs({ after: 'old ✓', limit: 1 });
  same(left?.isLeased !== true, true, 'one that was closed has none');
  await other.remove('a');
  same(await ids({ status: 'running' }), ['b', 'd'], 'without the one that was removed');
}

async function goesOn(
  store: CheckpointStore,
  reopen: NonNullable<StoreSubject['reopen']>,
  durability: Durability,
): Promise<void> {
  let broken = true;
  let calls = 0;
  const flow = workflow({ name: 'conformance', state: { sum: 0 } });
  const parts = [1, 2, 3, 4, 5].map((n) =>
    flow.task(`part ${n}`, {
      run: async (_, ctx) => {
        calls += 1;
        await ctx.sleep(1);
        ctx.update((s) => {
          s.sum += n;
        });
        return { n, at: new Date(n) };
      },
    }),
  );
  flow.task('all', {
    dependencies: parts,
    run: (all) => {
      if (broken) throw new Error('not yet');
      return all.map(({ at }) => at.getTime());
    },
  });
  const first = await flow.run({ store, runId: 'r', durability }).result();
  same([first.status, first.state.sum], ['partial', 15], 'the first run');
  broken = false;
  const next = await reopen(store);
  const second = await flow.run({ store: next, runId: 'r', durability, retry: 'failed' }).result();
  same(
    [second.status, second.state.sum, calls],
    ['succeeded', 15, 5],
    'status, state and calls of the second',
  );
  same(second.results.get('all'), [1, 2, 3, 4, 5], 'its result');
}
