import fc from 'fast-check';
import { from as observed } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { MemoryStore } from '../../lib/entry/stores.js';
import { type EachResult, memory, type Task, workflow } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

// Random lines of stages, killed at random moments, against what a loop over the source would come to.

const runs = Number(process.env.RUNS ?? 250);
const seed = process.env.SEED === undefined ? {} : { seed: Number(process.env.SEED) };

interface Stage {
  /** The stage it takes items from; below 0: the source. */
  readonly before: number;
  readonly concurrency: number;
  readonly buffer: number | undefined;
  readonly ordered: boolean;
  /** Items of one key are those of the same rest. */
  readonly keys: number | undefined;
  readonly batch: { readonly size: number; readonly ms?: number } | undefined;
  /** How long an item takes: depends on it and on this. */
  readonly pace: number;
  /** An item fails for good, or in its first attempt, where it can be divided by one of these; 0: none does. */
  readonly fails: number;
  readonly stumbles: number;
}

interface Program {
  readonly items: number;
  readonly source: 'list' | 'late' | 'observable';
  readonly stages: readonly Stage[];
  /** When each process but the last is killed. */
  readonly kills: readonly number[];
  /** Is the log made shorter while the run goes on? */
  readonly compact: boolean;
}

const stage = (place: number): fc.Arbitrary<Stage> =>
  fc.record({
    before: fc.integer({ min: place === 0 ? -1 : Math.max(0, place - 2), max: place - 1 }),
    concurrency: fc.integer({ min: 1, max: 4 }),
    buffer: fc.option(fc.integer({ min: 3, max: 7 }), { nil: undefined }),
    ordered: fc.boolean(),
    keys: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
    batch: fc.option(
      fc.oneof(
        fc.record({ size: fc.integer({ min: 1, max: 3 }) }),
        fc.record({ size: fc.integer({ min: 1, max: 3 }), ms: fc.integer({ min: 1, max: 30 }) }),
      ),
      { nil: undefined, freq: 3 },
    ),
    pace: fc.integer({ min: 0, max: 20 }),
    fails: fc.constantFrom(0, 0, 5, 7),
    stumbles: fc.constantFrom(0, 0, 3, 4),
  });

const programs: fc.Arbitrary<Program> = fc.record({
  items: fc.integer({ min: 0, max: 25 }),
  source: fc.constantFrom('list', 'late', 'observable'),
  stages: fc
    .integer({ min: 1, max: 4 })
    .chain((n) => fc.tuple(...Array.from({ length: n }, (_, i) => stage(i)))),
  kills: fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 3 }),
  compact: fc.boolean(),
});

const isMultiple = (n: number, of: number): boolean => of > 0 && n % of === of - 1;

/** The numbers of the source an item is made of; batches put several together. */
type Numbers = readonly number[];

async function* late(n: number): AsyncGenerator<Numbers> {
  for (let i = 0; i < n; i++) yield [i];
}

/** What all processes of one program have seen. */
class Notes {
  /** Numbers whose work in a stage is in the log. */
  readonly committed: Set<string>[];
  readonly worked: string[] = [];
  again = 0;

  constructor(readonly program: Program) {
    this.committed = program.stages.map(() => new Set());
  }

  /** Reads from the log whose work must not be done again. */
  read(store: MemoryStore): void {
    for (const line of store.dump().r ?? []) {
      const record = JSON.parse(line.slice(line.indexOf('{'))) as {
        kind: string;
        task: string;
        value: unknown;
      };
      const place = Number(/^s(\d+)\//.exec(record.task ?? '')?.[1] ?? -1);
      if (record.kind !== 'commit' || place < 0) continue;
      for (const n of JSON.stringify(record.value).match(/\d+/g) ?? []) this.committed[place]?.add(n);
    }
  }
}

/** One process; `until`: when it is killed. */
async function play(notes: Notes, store: MemoryStore, until: number | undefined, first: boolean) {
  const { program } = notes;
  const { stages, items } = program;
  const scheduler = new SimulationScheduler();
  const groups = Object.fromEntries(stages.map(({ concurrency }, i) => [`g${i}`, { concurrency }]));
  const flow = workflow({ name: 'line', groups });
  let alive = true;
  /** Items that have begun, and of those that failed for good, by stage. */
  const begun = stages.map(() => 0);
  const failed = stages.map(() => 0);
  const taken = stages.map(() => 0);
  const tasks: Task<EachResult<unknown, Numbers, boolean, number>>[] = [];
  const list = Array.from({ length: items }, (_, i): Numbers => [i]);
  const sources = { list, late: () => late(items), observable: observed(list) };
  stages.forEach((one, i) => {
    const busy = new Map<number, number>();
    const lastOf = new Map<number, number>();
    /** Nothing before it changes the order of the source. */
    let inOrder = true;
    for (let at = one.before; at >= 0; at = stages[at]?.before ?? -1)
      inOrder &&= stages[at]?.ordered === true;
    const keyOf = (given: Numbers | readonly Numbers[]): number => (given.flat()[0] ?? 0) % (one.keys ?? 1);
    const work = async (
      given: Numbers | readonly Numbers[],
      ctx: { attempt: number; sleep(ms: number): Promise<void> },
    ): Promise<Numbers> => {
      const numbers = given.flat();
      const least = numbers[0] ?? 0;
      if (ctx.attempt === 1) {
        begun[i] = (begun[i] ?? 0) + 1;
        taken[i] = (taken[i] ?? 0) + (one.batch === undefined ? 1 : given.length);
        if (one.keys !== undefined && one.batch === undefined && inOrder) {
          assert.ok(
            (lastOf.get(keyOf(given)) ?? -1) < least,
            `s${i}: ${least} of its key comes after a later one`,
          );
          lastOf.set(keyOf(given), least);
        }
      }
      for (const n of numbers)
        assert.not.ok(notes.committed[i]?.has(String(n)), `s${i}: ${n} is worked on again`);
      if (one.batch !== undefined) assert.ok(given.length <= one.batch.size, 'a batch too large');
      if (one.keys !== undefined) {
        assert.is(busy.get(keyOf(given)) ?? 0, 0, `s${i}: two of one key at once`);
        busy.set(keyOf(given), 1);
      }
      try {
        // What is under way there or waits here, as seen from the bodies of both.
        stages.forEach(({ before, buffer }, next) => {
          const onTheWay = (begun[i] ?? 0) - (failed[i] ?? 0) - (taken[next] ?? 0);
          if (before === i && first && buffer !== undefined)
            assert.ok(onTheWay <= buffer, `${onTheWay} items are on their way from s${i} to s${next}`);
        });
        await ctx.sleep(1 + ((least * 7 + one.pace) % 23));
        if (one.batch === undefined && ctx.attempt === 1 && isMultiple(least, one.stumbles))
          throw new Error('once');
        if (failsIn(program, i, numbers)) {
          if (ctx.attempt === 2) failed[i] = (failed[i] ?? 0) + 1;
          throw new Error('for good');
        }
      } finally {
        busy.delete(keyOf(given));
      }
      if (alive) notes.worked.push(...numbers.map((n) => `s${i} ${n}`));
      return numbers;
    };
    const {
      before,
      concurrency: _,
      pace: __,
      fails: ___,
      stumbles: ____,
      keys,
      buffer,
      batch,
      ...rest
    } = one;
    const task = flow.each(`s${i}`, {
      ...rest,
      ...(keys !== undefined && { keyBy: keyOf }),
      ...(buffer !== undefined && { buffer }),
      ...(batch !== undefined && { batch }),
      from: tasks[before] ?? sources[program.source],
      group: `g${i}`,
      version: '1',
      tolerate: true,
      retry: { count: 1, backoff: () => 2 },
      run: work,
      scan: { seed: 0, step: (sum: number, numbers: Numbers) => sum + numbers.reduce((a, b) => a + b, 0) },
    } as never) as unknown as (typeof tasks)[number];
    tasks.push(task);
  });
  const run = flow.run({
    store,
    runId: 'r',
    scheduler,
    learn: false,
    ...(program.compact && { compact: { keep: 1 } }),
  });
  const faults: unknown[] = [];
  tasks.forEach((task, i) => {
    let last = -1;
    run.values$(task).subscribe({
      next: ({ last: shown }) => {
        if (shown === undefined || stages[i]?.ordered !== true) return;
        if (shown.index <= last) faults.push(`s${i} shows ${shown.index} after ${last}`);
        last = shown.index;
      },
      error: () => undefined,
    });
  });
  run.events$.subscribe((event) => {
    // What a body asserts fails its attempt.
    const error = 'error' in event ? (event.error as Error | undefined) : undefined;
    if (error?.name === 'AssertionError' || error instanceof assert.Assertion) faults.push(error.message);
  });
  let ended = false;
  const result = run.result().then((one) => {
    ended = true;
    return one;
  });
  await advance(scheduler, until);
  alive = false;
  assert.equal(faults, []);
  if (until !== undefined && !ended) {
    notes.again += 1;
    return undefined;
  }
  assert.ok(ended, tasks.map(({ id }) => run.explain(id)).join('\n'));
  const { results } = await result;
  return tasks.map((task) => results.get(task));
}

/** Does the item fail there? One of a batch, or behind one, does not: nobody can say with whom it is. */
function failsIn({ stages }: Program, place: number, numbers: Numbers): boolean {
  for (let at = place; at >= 0; at = stages[at]?.before ?? -1)
    if (stages[at]?.batch !== undefined) return false;
  return isMultiple(numbers[0] ?? 0, stages[place]?.fails ?? 0);
}

/** The numbers that come through a stage. */
function through(program: Program, place: number): number[] {
  const before = program.stages[place]?.before ?? -1;
  const all = before < 0 ? Array.from({ length: program.items }, (_, i) => i) : through(program, before);
  return all.filter((n) => !failsIn(program, place, [n]));
}

test(`${runs} random lines of stages keep order, bounds and keys, and lose and repeat nothing when they are killed`, async () => {
  let again = 0;
  await fc.assert(
    fc.asyncProperty(programs, async (program) => {
      const notes = new Notes(program);
      let store = memory();
      let first = true;
      let results: Awaited<ReturnType<typeof play>>;
      for (const until of [...program.kills, undefined]) {
        results = await play(notes, store, until, first);
        first = false;
        store = memory(store.dump());
        notes.read(store);
      }
      again += notes.again;
      program.stages.forEach((_, i) => {
        const expected = through(program, i);
        const sum = expected.reduce((a, b) => a + b, 0);
        assert.is(results?.[i]?.reduced, sum, `s${i}: the sum`);
        const worked = new Set(notes.worked.filter((one) => one.startsWith(`s${i} `)));
        assert.equal([...worked].sort(), expected.map((n) => `s${i} ${n}`).sort());
      });
    }),
    { numRuns: runs, ...seed, includeErrorInReport: true },
  );
  assert.ok(again > 0, 'nothing was killed: the property checks less than it says');
});

test.run();
