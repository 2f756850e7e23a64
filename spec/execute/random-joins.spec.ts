import fc from 'fast-check';
import {
  concatMap,
  concatWith,
  from,
  map,
  type Observable,
  skip,
  take,
  tap,
  timer,
  VirtualTimeScheduler,
} from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { latest, optional, orElse, settled, type Task, workflow } from '../../lib/index.js';

const runs = Number(process.env.RUNS ?? 300);
const seed = process.env.SEED === undefined ? {} : { seed: Number(process.env.SEED) };

/** The newest version of each source a value is made of. */
type Versions = Readonly<Record<string, number>>;

interface Program {
  /** Which source says how many values at once, one moment after the other. */
  readonly said: readonly { readonly source: number; readonly values: number }[];
  readonly joins: readonly Join[];
  readonly concurrency: number;
  /** The source that fails, before it says the values of this moment, and is tried again. */
  readonly fails: { readonly source: number; readonly before: number } | undefined;
}

interface Join {
  /** Places of what it reads, among the sources and the joins before it. */
  readonly reads: readonly { readonly place: number; readonly mode: Mode }[];
  readonly body: 'maps' | 'begins late' | 'subscribes again';
}

type Mode = 'latest' | 'value' | 'optional' | 'settled' | 'orElse';

const dependencyOf = {
  latest: (task: Task<Versions>) => latest(task),
  value: (task: Task<Versions>) => task,
  optional: (task: Task<Versions>) => optional(task),
  settled: (task: Task<Versions>) => settled(task),
  orElse: (task: Task<Versions>) => orElse(task, {}),
};

const sources = 3;
const moment = 10;

function programs(modes: fc.Arbitrary<Mode>, bodies: readonly Join['body'][]): fc.Arbitrary<Program> {
  const first = Array.from({ length: sources }, (_, source) => ({ source, values: 1 }));
  return fc.record({
    said: fc
      .array(fc.record({ source: fc.nat(sources - 1), values: fc.integer({ min: 1, max: 2 }) }), {
        maxLength: 8,
      })
      .chain((more) => fc.shuffledSubarray([...first, ...more], { minLength: first.length + more.length })),
    joins: fc.array(
      fc.record({
        reads: fc.array(fc.record({ place: fc.nat(20), mode: modes }), { minLength: 1, maxLength: 4 }),
        body: fc.constantFrom(...bodies),
      }),
      { minLength: 1, maxLength: 7 },
    ),
    concurrency: fc.integer({ min: 1, max: 12 }),
    fails: fc.option(fc.record({ source: fc.nat(sources - 1), before: fc.nat(3) }), { nil: undefined }),
  });
}

/** What the inputs of a task are made of; two that do not agree on a source are a mixture. */
function joined(inputs: readonly unknown[]): Versions {
  const all: Record<string, number> = {};
  for (const input of inputs) {
    const { value = input } = input as { value?: unknown };
    for (const [source, version] of Object.entries(value as Versions)) {
      assert.is(all[source] ?? version, version, `a mixture of old and new: ${JSON.stringify(inputs)}`);
      all[source] = version;
    }
  }
  return all;
}

interface Played {
  /** What each join has seen, attempt by attempt. */
  readonly seen: readonly (readonly Versions[])[][];
  /** What each has read, by place among the tasks. */
  readonly reads: readonly (readonly number[])[];
  readonly results: readonly Versions[];
  /** What a task that reads the same, settled, has got. */
  readonly settled: readonly Versions[];
}

async function play({ said, joins, concurrency, fails }: Program): Promise<Played> {
  const scheduler = new VirtualTimeScheduler();
  const flow = workflow({ name: 'joins', concurrency });
  const tasks: Task<Versions>[] = [];
  for (let source = 0; source < sources; source++)
    tasks.push(
      flow.task(`s${source}`, {
        retry: { count: 1, backoff: { initial: 5, max: 5 } },
        run: (_, { attempt }): Observable<Versions> => {
          let version = attempt * 100;
          let moments = 0;
          return from(said.map((one, at) => ({ ...one, at }))).pipe(
            concatMap((one) => timer(moment, scheduler).pipe(map(() => one))),
            concatMap((one) => {
              if (one.source !== source) return [];
              if (fails?.source === source && fails.before === moments && attempt === 1)
                throw new Error('planned');
              moments += 1;
              return Array.from({ length: one.values }, () => ({ [`s${source}`]: version++ }));
            }),
          );
        },
      }),
    );
  const seen: Versions[][][] = joins.map(() => []);
  const reads: number[][] = [];
  const checks: Task<Versions>[] = [];
  joins.forEach(({ reads: wanted, body }, i) => {
    const modes = new Map(wanted.map(({ place, mode }) => [place % (sources + i), mode]));
    const places = [...modes.keys()];
    reads.push(places);
    // One of them is a stream.
    modes.set(places[0] as number, 'latest');
    const given = [...modes].map(([place, mode]) => dependencyOf[mode](tasks[place] as Task<Versions>));
    tasks.push(
      flow.task(`j${i}`, {
        dependencies: given,
        run: (inputs$: unknown): Observable<Versions> => {
          const mine: Versions[] = [];
          seen[i]?.push(mine);
          const joined$ = (inputs$ as Observable<readonly unknown[]>).pipe(map(joined));
          const body$ =
            body === 'maps'
              ? joined$
              : body === 'begins late'
                ? timer(moment * 1.5, scheduler).pipe(concatMap(() => joined$))
                : joined$.pipe(take(1), concatWith(joined$.pipe(skip(1))));
          return body$.pipe(tap((versions) => mine.push(versions)));
        },
      }),
    );
    const same = places.map((place) => tasks[place] as Task<Versions>);
    checks.push(flow.task(`c${i}`, { dependencies: same, run: (inputs) => joined(inputs) }));
  });
  const run = flow.run({ scheduler });
  const ended = run.result();
  scheduler.flush();
  const { status, results, report } = await ended;
  assert.is(status, 'succeeded', String(report));
  const resultOf = (task: Task<Versions>): Versions => results.get(task) as Versions;
  return { seen, reads, results: tasks.map(resultOf), settled: checks.map(resultOf) };
}

/** Every join sees every value of each source above it once, as soon as all of them have said one. */
function expected({ said }: Program, reads: Played['reads']): Versions[][] {
  const above: Set<number>[] = Array.from({ length: sources }, (_, source) => new Set([source]));
  for (const places of reads) above.push(new Set(places.flatMap((place) => [...(above[place] ?? [])])));
  return above.slice(sources).map((of) => {
    const now: Record<string, number> = {};
    const next = Array.from({ length: sources }, () => 100);
    const all: Versions[] = [];
    for (const { source, values } of said)
      for (let n = 0; n < values; n++) {
        const version = next[source] as number;
        next[source] = version + 1;
        if (!of.has(source)) continue;
        now[`s${source}`] = version;
        if (Object.keys(now).length === of.size) all.push({ ...now });
      }
    return all;
  });
}

function lastIsSettled({ seen, results, settled: checked }: Played): void {
  seen.forEach((attempts, i) => {
    assert.equal(attempts.at(-1)?.at(-1), checked[i], `the last of j${i}`);
    assert.equal(results[sources + i], checked[i], `the result of j${i}`);
  });
}

test('a join of streams shows every state of its sources once, and no mixture', async () => {
  await fc.assert(
    fc.asyncProperty(programs(fc.constant('latest'), ['maps', 'subscribes again']), async (program) => {
      const played = await play({ ...program, concurrency: 1_000, fails: undefined });
      assert.equal(
        played.seen.map((attempts) => attempts.flat()),
        expected(program, played.reads),
      );
      lastIsSettled(played);
    }),
    { numRuns: runs, ...seed, includeErrorInReport: true },
  );
});

test('few slots, late subscribers, other dependencies and a stream that begins again: only newer states, no mixture', async () => {
  const modes = fc.constantFrom<Mode[]>(
    'latest',
    'latest',
    'latest',
    'value',
    'optional',
    'settled',
    'orElse',
  );
  let again = 0;
  await fc.assert(
    fc.asyncProperty(programs(modes, ['maps', 'begins late', 'subscribes again']), async (program) => {
      const played = await play(program);
      lastIsSettled(played);
      for (const attempts of played.seen) {
        if (attempts.length > 1) again += 1;
        for (const states of attempts)
          states.forEach((state, i) => {
            const before = states[i - 1];
            if (before === undefined) return;
            const names = Object.keys(state);
            assert.equal(names, Object.keys(before));
            assert.ok(
              names.every((name) => (state[name] as number) >= (before[name] as number)),
              'an older value',
            );
            assert.not.equal(state, before, 'nothing new');
          });
      }
    }),
    { numRuns: runs, ...seed, includeErrorInReport: true },
  );
  assert.ok(again > 0, 'no join has begun again: the property checks less than it says');
});

test('who reads the same stream hears of its end in order of depth, when the turn ends', async () => {
  const scheduler = new VirtualTimeScheduler();
  const flow = workflow({ name: 'ends' });
  const ends: string[] = [];
  const stream = flow.task('stream', { run: () => timer(5, 10, scheduler).pipe(take(2)) });
  const first = flow.task('first', { run: () => 1 });
  const second = flow.task('second', { dependencies: [first], run: () => 2 });
  const end = (id: string) => tap({ complete: () => ends.push(id) });
  flow.task('near', { dependencies: [latest(stream)], run: (inputs$) => inputs$.pipe(end('near')) });
  flow.task('far', { dependencies: [latest(stream), second], run: (inputs$) => inputs$.pipe(end('far')) });
  const ended = flow.run({ scheduler }).result();
  scheduler.flush();
  assert.is((await ended).status, 'succeeded');
  assert.equal(ends, ['near', 'far']);
});

test.run();
