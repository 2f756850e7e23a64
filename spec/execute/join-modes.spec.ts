import fc from 'fast-check';
import {
  concatMap,
  count,
  from,
  map,
  type Observable,
  of,
  take,
  tap,
  throwError,
  timer,
  toArray,
  VirtualTimeScheduler,
} from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  latest,
  memory,
  merged,
  paired,
  sampled,
  type Task,
  type WorkflowDefinitionError,
  workflow,
} from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

const runs = Number(process.env.RUNS ?? 300);
const seed = process.env.SEED === undefined ? {} : { seed: Number(process.env.SEED) };

/** Says each value at its ms. */
function saying<T>(scheduler: VirtualTimeScheduler, values: Readonly<Record<number, T>>): Observable<T> {
  return from(Object.entries(values).sort(([a], [b]) => Number(a) - Number(b))).pipe(
    concatMap(([at, value]) => timer(Number(at) - scheduler.now(), scheduler).pipe(map(() => value))),
  );
}

/** Two streams and the reader of them; what the reader was given, and how the run went. */
async function join(
  wrap: (a: Task<string>, b: Task<number>) => Record<string, never>,
  a: Readonly<Record<number, string>>,
  b: Readonly<Record<number, number>>,
): Promise<{ given: unknown[]; status: string; ended: number }> {
  const scheduler = new VirtualTimeScheduler();
  const flow = workflow({ name: 'modes' });
  const letters = flow.task('a', { run: () => saying(scheduler, a) });
  const numbers = flow.task('b', { run: () => saying(scheduler, b) });
  const given: unknown[] = [];
  let ended = -1;
  const reader = flow.task('reader', {
    dependencies: wrap(letters, numbers),
    run: (inputs$: unknown) =>
      (inputs$ as Observable<unknown>).pipe(
        tap({
          next: (inputs) => given.push([scheduler.now(), inputs]),
          complete: () => {
            ended = scheduler.now();
          },
        }),
      ),
  });
  const run = flow.run({ scheduler });
  const result = run.result();
  scheduler.flush();
  const { tasks } = await result;
  return { given, status: tasks.get(reader)?.status ?? '', ended };
}

const typed = <T>(dependencies: T): Record<string, never> => dependencies as Record<string, never>;

test('paired: the n-th with the n-th, as many as the shortest has, until all have ended', async () => {
  const { given, status, ended } = await join(
    (a, b) => typed({ a: paired(a), b: paired(b) }),
    { 10: 'x', 20: 'y', 50: 'z' },
    { 15: 1, 30: 2 },
  );
  assert.equal(given, [
    [15, { a: 'x', b: 1 }],
    [30, { a: 'y', b: 2 }],
  ]);
  assert.equal([status, ended], ['succeeded', 50]);
});

test('merged: each value of any, as soon as the first speaks, with its name', async () => {
  const { given, ended } = await join(
    (a, b) => typed({ a: merged(a), b: merged(b) }),
    { 10: 'x', 20: 'y' },
    { 15: 1, 40: 2 },
  );
  assert.equal(given, [
    [10, { from: 'a', value: 'x' }],
    [15, { from: 'b', value: 1 }],
    [20, { from: 'a', value: 'y' }],
    [40, { from: 'b', value: 2 }],
  ]);
  assert.is(ended, 40);
});

test('sampled: the newest when another speaks, whose end is the end', async () => {
  const { given, ended } = await join(
    (a, b) => typed({ a: latest(a), b: sampled(b) }),
    { 10: 'x', 20: 'y', 50: 'z' },
    { 15: 1, 30: 2, 40: 3, 90: 4 },
  );
  assert.equal(given, [
    [15, { a: 'x', b: 1 }],
    [20, { a: 'y', b: 1 }],
    [50, { a: 'z', b: 3 }],
  ]);
  assert.is(ended, 50);
});

test('a tuple is told by places, and results and samples come beside what is merged', async () => {
  const scheduler = new VirtualTimeScheduler();
  const flow = workflow({ name: 'places' });
  const fact = flow.task('fact', { run: () => 'known' });
  const a = flow.task('a', { run: () => saying(scheduler, { 10: 'x', 30: 'y' }) });
  const b = flow.task('b', { run: () => saying(scheduler, { 20: 1 }) });
  const clock = flow.task('clock', { run: () => saying(scheduler, { 5: 'early', 25: 'late' }) });
  const reader = flow.task('reader', {
    dependencies: [merged(a), fact, merged(b), sampled(clock)],
    run: (inputs$) => inputs$.pipe(toArray()),
  });
  const alone = flow.task('alone', {
    dependencies: [a, b].map((one) => merged<string | number>(one)),
    run: (inputs$) => inputs$.pipe(toArray()),
  });
  const result = flow.run({ scheduler }).result();
  scheduler.flush();
  const { results, report } = await result;
  assert.equal(
    results.get(reader),
    [
      { from: 0, value: 'x', inputs: ['known', 'early'] },
      { from: 2, value: 1, inputs: ['known', 'early'] },
      { from: 0, value: 'y', inputs: ['known', 'late'] },
    ],
    String(report),
  );
  assert.equal(results.get(alone), [
    { from: 0, value: 'x' },
    { from: 1, value: 1 },
    { from: 0, value: 'y' },
  ]);
});

test('a task that is no stream has one value: its result', async () => {
  const flow = workflow({ name: 'plain' });
  const a = flow.task('a', { run: async () => 'result' });
  const b = flow.task('b', { run: () => of(1, 2) });
  const pairs = flow.task('pairs', {
    dependencies: { a: paired(a), b: paired(b) },
    run: (inputs$) => inputs$.pipe(toArray()),
  });
  const all = flow.task('all', {
    dependencies: { a: merged(a), b: merged(b) },
    run: (inputs$) =>
      inputs$.pipe(
        map(({ from: name, value }) => `${name}${value}`),
        toArray(),
      ),
  });
  const sample = flow.task('sample', {
    dependencies: { a: sampled(a), b: merged(b) },
    run: (inputs$) =>
      inputs$.pipe(
        map(({ value, inputs }) => `${value}${inputs.a}`),
        toArray(),
      ),
  });
  const { results } = await flow.run().result();
  assert.equal(results.get(pairs), [{ a: 'result', b: 1 }]);
  assert.equal([...(results.get(all) ?? [])].sort(), ['aresult', 'b1', 'b2']);
  assert.equal(results.get(sample), ['1result', '2result']);
});

test('what a stream goes on changing is given as it was said', async () => {
  const flow = workflow({ name: 'grows' });
  const grows = flow.task('grows', {
    run: async function* () {
      const words: string[] = [];
      for (const word of ['Bees', 'hum']) {
        words.push(word);
        yield words;
      }
    },
  });
  const reader = flow.task('reader', {
    dependencies: { grows: merged(grows), all: grows },
    run: (inputs$) =>
      inputs$.pipe(
        map(({ value }) => value),
        toArray(),
      ),
  });
  const { results } = await flow.run().result();
  assert.equal(results.get(reader), [['Bees'], ['Bees', 'hum']]);
});

test('joins that do not go together are faults of the definition', () => {
  const flow = workflow({ name: 'faults' });
  const a = flow.task('a', { run: () => of(1) });
  const b = flow.task('b', { run: () => of(1) });
  const run = (): number => 1;
  flow.task('mixed', { dependencies: { a: latest(a), b: paired(b), c: paired(a) }, run });
  flow.task('idle', { dependencies: { a: sampled(a) }, run });
  flow.task('single', { dependencies: { a: paired(a), b: sampled(b) }, run });
  flow.task('hedged', { dependencies: { a: merged(a) }, hedge: { after: 10 }, run });
  try {
    flow.run();
    assert.unreachable();
  } catch (error) {
    assert.equal(
      (error as WorkflowDefinitionError).faults.map(({ message }) => message),
      [
        'Task "hedged": hedge cannot be used with merged(...); a stream that grows has no second attempt.',
        'Task "mixed" mixes latest(...) and paired(...); choose one of them, and sampled(...) for the other streams.',
        'Task "idle" has sampled(...) alone, which sets no pace; add latest(...), paired(...) or merged(...).',
        'Task "single" has one paired(...) and no partner for it; add another, or use merged(...) for each value of one stream.',
      ],
    );
  }
});

/** A flow whose `slow` stream says `values` at once, and whose partner says one. */
function uneven(values: number) {
  const scheduler = new VirtualTimeScheduler();
  const flow = workflow({ name: 'uneven' });
  const fast = flow.task('fast', { run: () => from(Array.from({ length: values }, (_, i) => i)) });
  const slow = flow.task('slow', { run: () => timer(1, 1_000, scheduler).pipe(take(2)) });
  return { scheduler, flow, fast, slow };
}

test('where one runs 10,000 values ahead of its partner, the reader fails and says which', async () => {
  for (const values of [10_001, 10_002]) {
    const { scheduler, flow, fast, slow } = uneven(values);
    const reader = flow.task('reader', {
      dependencies: { fast: paired(fast), slow: paired(slow) },
      run: (inputs$) => inputs$.pipe(toArray()),
    });
    const result = flow.run({ scheduler }).result();
    scheduler.flush();
    const { tasks } = await result;
    const { status, error } = tasks.get(reader) ?? {};
    // `slow` has said nothing when `fast` has said all.
    assert.is(status, 'failed');
    assert.is((error as { code?: string }).code, 'LIMIT_EXCEEDED');
    assert.match(
      String((error as Error).message),
      'Task "reader": 10000 values of "fast" wait for their partners; pair streams of the same pace, or use latest(...). More may wait with paired(task, { capacity }).',
    );
  }
});

test('values that wait for the start are kept, 10,000 of them; what others say of them is told in order', async () => {
  for (const [values, status] of [
    [10_000, 'succeeded'],
    [10_001, 'failed'],
  ] as const) {
    const { scheduler, flow, fast, slow } = uneven(values);
    const reader = flow.task('reader', {
      dependencies: { fast: merged(fast), slow },
      run: (inputs$) =>
        inputs$.pipe(
          map(({ value }) => value),
          toArray(),
        ),
    });
    const result = flow.run({ scheduler }).result();
    scheduler.flush();
    const { tasks } = await result;
    assert.is(tasks.get(reader)?.status, status);
    if (status === 'succeeded')
      assert.equal(
        (await result).results.get(reader),
        Array.from({ length: values }, (_, i) => i),
      );
  }
});

for (const capacity of [1, 3, 20_000, Number.POSITIVE_INFINITY])
  for (const join of [paired, merged])
    test(`${capacity} values may wait where ${join.name} says so, and no more`, async () => {
      for (const values of capacity === Number.POSITIVE_INFINITY ? [30_000] : [capacity, capacity + 1]) {
        const { scheduler, flow, fast, slow } = uneven(values);
        const reader = flow.task('reader', {
          dependencies: {
            fast: join(fast, { capacity }) as never,
            slow: (join === paired ? paired(slow) : slow) as never,
          },
          run: (inputs$) => (inputs$ as never as Observable<unknown>).pipe(count()),
        });
        const result = flow.run({ scheduler }).result();
        scheduler.flush();
        const { tasks, results } = await result;
        const { error } = tasks.get(reader) ?? {};
        if (values > capacity) {
          assert.match(
            String((error as Error).message),
            `${capacity} values of "fast" wait for ${join === paired ? 'their partners' : 'it to start'}`,
          );
          assert.is((error as { details?: { limit?: number } }).details?.limit, capacity);
        } else assert.is(results.get(reader), join === paired ? Math.min(2, values) : values);
      }
    });

test('a capacity that makes no sense is a fault of the definition', () => {
  for (const capacity of [0, 1.5, -1, Number.NaN, '5' as never]) {
    const { flow, fast, slow } = uneven(1);
    flow.task('reader', { dependencies: [merged(fast, { capacity }), slow], run: () => 1 });
    assert.throws(
      () => flow.run(),
      /"reader" has merged\(...\) with capacity .*; give a whole number from 1, or Infinity/,
    );
  }
});

test('the capacity of a task that was added is in the log, and holds when its run goes on', async () => {
  const make = (scheduler: SimulationScheduler) => {
    const flow = workflow({ name: 'added' });
    const fast = flow.task('fast', {
      version: '1',
      run: () => timer(20, scheduler).pipe(concatMap(() => from([1, 2, 3]))),
    });
    const late = flow.task('late', { version: '1', run: (_, ctx) => ctx.sleep(100) });
    const reader = flow.taskType('reader', {
      version: '1',
      run: (_: number, __, inputs) => (inputs as unknown as Observable<unknown>).pipe(count()),
    });
    flow.task('adder', {
      version: '1',
      run: (_, ctx) => {
        for (const [id, capacity] of [
          ['wide', Number.POSITIVE_INFINITY],
          ['tight', 2],
        ] as const)
          ctx.spawn(reader, id, 1, { dependencies: [merged(fast, { capacity }), late] });
      },
    });
    return flow;
  };
  const store = memory();
  const first = new SimulationScheduler();
  void make(first).run({ store, runId: 'r', scheduler: first }).result();
  await advance(first, 10);
  const second = new SimulationScheduler();
  const result = make(second)
    .run({ store: memory(store.dump()), runId: 'r', scheduler: second })
    .result();
  await advance(second);
  const { tasks, results } = await result;
  assert.is(tasks.get('adder')?.status, 'restored');
  assert.is(results.get('wide'), 3);
  assert.match(String(tasks.get('tight')?.error), '2 values of "fast" wait for it to start');
});

test('a longer stream keeps nobody waiting whose partner has ended', async () => {
  const flow = workflow({ name: 'longer' });
  const short = flow.task('short', { run: () => of('a') });
  const long = flow.task('long', { run: () => from(Array.from({ length: 30_000 }, (_, i) => i)) });
  const reader = flow.task('reader', {
    dependencies: { short: paired(short), long: paired(long) },
    run: (inputs$) => inputs$.pipe(toArray()),
  });
  const { results, status } = await flow.run().result();
  assert.equal([status, results.get(reader)], ['succeeded', [{ short: 'a', long: 0 }]]);
});

test('a stream of any length can be read one by one; to begin again, or to subscribe late, is an error once the first are gone', async () => {
  const count = 50_000;
  const body = (fails: boolean, late: boolean) => {
    const scheduler = new VirtualTimeScheduler();
    const flow = workflow({ name: 'long' });
    const source = flow.task('source', {
      run: () =>
        timer(0, 1, scheduler).pipe(
          take(10),
          concatMap(() => from(new Array(count / 10).fill(1))),
        ),
    });
    const reader = flow.task('reader', {
      dependencies: { source: merged(source) },
      retry: { count: 1, backoff: { initial: 1 } },
      run: (inputs$) => {
        let seen = 0;
        const counted$ = inputs$.pipe(
          map(() => {
            seen += 1;
            if (fails && seen === count) throw new Error('planned');
            return seen;
          }),
        );
        return late ? timer(100, scheduler).pipe(concatMap(() => counted$)) : counted$;
      },
    });
    const result = flow.run({ scheduler }).result();
    scheduler.flush();
    return result.then(({ tasks, results }) => ({
      status: tasks.get(reader)?.status,
      error: tasks.get(reader)?.error as Error,
      value: results.get(reader),
    }));
  };
  assert.is((await body(false, false)).value, count);
  assert.match(
    String((await body(true, false)).error),
    'Task "reader": to begin again it would need the first of its inputs, of which 10000 are kept; subscribe at once, leave out what makes it begin again, or use latest(...).',
  );
  assert.match(
    String((await body(false, true)).error),
    'Task "reader": who subscribes so late would need the first of its inputs, of which 10000 are kept; subscribe at once, leave out what makes it begin again, or use latest(...).',
  );
});

test('a stream that fails skips who reads it, in every mode; a sampled one that begins again starts nobody anew', async () => {
  const outcome = async (attempts: number) => {
    const scheduler = new VirtualTimeScheduler();
    const flow = workflow({ name: 'fails' });
    const pace = flow.task('pace', { run: () => saying(scheduler, { 10: 'x', 60: 'y', 100: 'z' }) });
    const shaky = flow.task('shaky', {
      retry: { count: attempts - 1, backoff: { initial: 20, max: 20 } },
      run: (_, { attempt }) =>
        timer(5, scheduler).pipe(
          concatMap(() =>
            attempt < attempts
              ? from([
                  of(attempt),
                  timer(20, scheduler).pipe(concatMap(() => throwError(() => new Error('planned')))),
                ]).pipe(concatMap((one) => one))
              : of(attempt),
          ),
        ),
    });
    const started: string[] = [];
    const read = (id: string, dependencies: Record<string, never>): Task<unknown> =>
      flow.task(id, {
        dependencies,
        run: (inputs$: unknown) => {
          started.push(id);
          return (inputs$ as Observable<unknown>).pipe(toArray());
        },
      });
    const readers = [
      read('sampled', typed({ pace: latest(pace), shaky: sampled(shaky) })),
      read('paired', typed({ pace: paired(pace), shaky: paired(shaky) })),
      read('merged', typed({ pace: merged(pace), shaky: merged(shaky) })),
    ];
    const result = flow.run({ scheduler }).result();
    scheduler.flush();
    const { tasks } = await result;
    return { started, tasks: readers.map((one) => tasks.get(one)) };
  };
  const again = await outcome(2);
  assert.equal(
    again.tasks.map((task) => task?.status),
    ['succeeded', 'succeeded', 'succeeded'],
  );
  assert.equal(again.started.sort(), ['merged', 'merged', 'paired', 'paired', 'sampled']);
});

interface Said {
  readonly task: string;
  readonly attempt: number;
  readonly value: Versions;
}

/** The newest version of each source a value is made of. */
type Versions = Readonly<Record<string, number>>;

type Mode = 'latest' | 'paired' | 'merged';

interface Reader {
  readonly mode: Mode;
  readonly places: readonly number[];
  readonly sampled: number | undefined;
  /** Ms until a plain dependency has ended: it starts late. */
  readonly waits: number;
  /** It fails at this input of its first attempt. */
  readonly fails: number | undefined;
}

interface Program {
  readonly said: readonly { readonly source: number; readonly values: number }[];
  readonly fails: { readonly source: number; readonly before: number } | undefined;
  readonly readers: readonly Reader[];
  readonly concurrency: number;
}

const sources = 3;
const moment = 10;

const programs: fc.Arbitrary<Program> = fc.record({
  said: fc.array(fc.record({ source: fc.nat(sources - 1), values: fc.integer({ min: 1, max: 3 }) }), {
    maxLength: 8,
  }),
  fails: fc.option(fc.record({ source: fc.nat(sources - 1), before: fc.nat(3) }), { nil: undefined }),
  readers: fc.array(
    fc.record({
      mode: fc.constantFrom<Mode>('latest', 'paired', 'paired', 'merged', 'merged'),
      places: fc.uniqueArray(fc.nat(20), { minLength: 1, maxLength: 3 }),
      sampled: fc.option(fc.nat(20), { nil: undefined }),
      waits: fc.constantFrom(0, 0, 25, 55),
      fails: fc.option(fc.nat(4), { nil: undefined }),
    }),
    { minLength: 1, maxLength: 5 },
  ),
  concurrency: fc.constantFrom(1, 2, 3, 100),
});

/** A reader begins again in the turn in which the reader it samples does so and speaks. */
const restarted: Program = {
  said: [{ source: 1, values: 1 }],
  fails: { source: 1, before: 1 },
  readers: [1, 1, 0].map((place, i) => ({
    mode: 'latest',
    places: [place],
    sampled: i === 1 ? sources : undefined,
    waits: 0,
    fails: undefined,
  })),
  concurrency: 100,
};

/** Readers have all slots while the stream that one of them waits for backs off. */
const blocked: Program = {
  said: [],
  fails: { source: 2, before: 0 },
  readers: [
    { mode: 'latest', places: [0], sampled: undefined, waits: 0, fails: undefined },
    { mode: 'latest', places: [1, 0], sampled: undefined, waits: 0, fails: undefined },
    { mode: 'merged', places: [2, 0], sampled: 4, waits: 0, fails: undefined },
    { mode: 'latest', places: [5], sampled: undefined, waits: 0, fails: undefined },
  ],
  concurrency: 2,
};

interface Seen {
  readonly values: readonly Versions[];
  readonly from: number | undefined;
  readonly sample: Versions | undefined;
  /** What the sampled task had said last when it was given. */
  readonly newest: Versions | undefined;
}

interface Played {
  readonly log: readonly Said[];
  readonly lastAttempt: ReadonlyMap<string, number>;
  readonly readers: readonly {
    readonly id: string;
    readonly mode: Mode;
    readonly places: readonly string[];
    readonly attempts: readonly (readonly Seen[])[];
  }[];
}

async function play({ said, fails, readers, concurrency }: Program): Promise<Played> {
  const scheduler = new VirtualTimeScheduler();
  const flow = workflow({ name: 'modes', concurrency });
  const log: Said[] = [];
  const lastAttempt = new Map<string, number>();
  const retry = { count: 1, backoff: { initial: 7, max: 7 } };
  const noted = (task: string, attempt: number) => {
    lastAttempt.set(task, (lastAttempt.get(task) ?? 0) + 1);
    const own = lastAttempt.get(task) ?? attempt;
    return tap((value: Versions) => log.push({ task, attempt: own, value }));
  };
  const tasks: Task<Versions>[] = [];
  for (let source = 0; source < sources; source++)
    tasks.push(
      flow.task(`s${source}`, {
        retry,
        run: (_, { attempt }): Observable<Versions> => {
          let version = attempt * 100;
          let moments = 0;
          return from([{ source, values: 1 }, ...said]).pipe(
            concatMap((one) => timer(moment, scheduler).pipe(map(() => one))),
            concatMap((one) => {
              if (one.source !== source) return [];
              if (fails?.source === source && fails.before === moments && attempt === 1)
                throw new Error('planned');
              moments += 1;
              return Array.from({ length: one.values }, () => ({ [`s${source}`]: version++ }));
            }),
            noted(`s${source}`, attempt),
          );
        },
      }),
    );
  const played = readers.map((reader, i) => {
    const id = `r${i}`;
    const places = [...new Set(reader.places.map((place) => place % tasks.length))];
    // Pairs have two at least.
    if (reader.mode === 'paired' && places.length === 1)
      places.push(((places[0] as number) + 1) % tasks.length);
    const wrap = { latest, paired, merged }[reader.mode] as (
      task: Task<Versions>,
    ) => ReturnType<typeof merged>;
    const sampledTask = reader.sampled === undefined ? undefined : tasks[reader.sampled % tasks.length];
    const gate =
      reader.waits === 0 ? [] : [flow.task(`g${i}`, { run: () => timer(reader.waits, scheduler) })];
    const dependencies = [
      ...places.map((place) => wrap(tasks[place] as Task<Versions>)),
      ...(sampledTask === undefined ? [] : [sampled(sampledTask)]),
      ...gate,
    ];
    const attempts: Seen[][] = [];
    tasks.push(
      flow.task(id, {
        dependencies,
        retry,
        run: (inputs$: unknown, { attempt }): Observable<Versions> => {
          const mine: Seen[] = [];
          attempts.push(mine);
          const isFirst = attempts.length === 1;
          return (inputs$ as Observable<unknown>).pipe(
            map((input) => {
              if (isFirst && reader.fails === mine.length) throw new Error('planned');
              const {
                from: at,
                value,
                inputs = [],
              } = input as {
                from: number;
                value: Versions;
                inputs?: Versions[];
              };
              const row = input as Versions[];
              const isMerged = reader.mode === 'merged';
              mine.push({
                values: isMerged ? [value] : row.slice(0, places.length),
                from: isMerged ? at : undefined,
                sample: sampledTask === undefined ? undefined : isMerged ? inputs[0] : row[places.length],
                newest: log.filter(({ task }) => task === sampledTask?.id).at(-1)?.value,
              });
              return Object.assign({}, ...(mine.at(-1)?.values ?? [])) as Versions;
            }),
            noted(id, attempt),
          );
        },
      }),
    );
    return { id, mode: reader.mode, places: places.map((place) => tasks[place]?.id ?? ''), attempts };
  });
  const run = flow.run({ scheduler });
  const result = run.result();
  scheduler.flush();
  const ended = await Promise.race([result, new Promise<void>((done) => setImmediate(done))]);
  if (ended === undefined) throw new Error(tasks.map(({ id }) => run.explain(id)).join('\n'));
  assert.is(ended.status, 'succeeded', String(ended.report));
  return { log, lastAttempt, readers: played };
}

test('whatever the slots, starts and retries are, the last attempt was given what a naive join makes of all that was said', async () => {
  let pairs = 0;
  let again = 0;
  await fc.assert(
    fc.asyncProperty(programs, async (program) => {
      const { log, lastAttempt, readers } = await play(program);
      const saidBy = (task: string): Said[] =>
        log.filter((one) => one.task === task && one.attempt === lastAttempt.get(task));
      for (const { mode, places, attempts } of readers) {
        const seen = attempts.at(-1) ?? [];
        if (attempts.length > 1) again += 1;
        for (const { sample, newest } of seen) assert.equal(sample, newest, 'the newest at that moment');
        if (mode === 'paired') {
          const streams = places.map((place) => saidBy(place).map(({ value }) => value));
          const most = Math.min(...streams.map(({ length }) => length));
          pairs += most;
          assert.equal(
            seen.map(({ values }) => values),
            Array.from({ length: most }, (_, n) => streams.map((stream) => stream[n])),
          );
        } else if (mode === 'merged') {
          const all = log.filter(
            ({ task, attempt }) => places.includes(task) && attempt === lastAttempt.get(task),
          );
          assert.equal(
            seen.map(({ from: at, values }) => [places[at as number], ...values]),
            all.map(({ task, value }) => [task, value]),
          );
        } else
          assert.equal(
            seen.at(-1)?.values,
            places.map((place) => saidBy(place).at(-1)?.value),
          );
      }
    }),
    { numRuns: runs, ...seed, examples: [[restarted], [blocked]], includeErrorInReport: true },
  );
  assert.ok(pairs > 0 && again > 0, 'the property checks less than it says');
});

test('a run that goes on runs a stream again whose every value is needed, and no other', async () => {
  const store = memory();
  const called: string[] = [];
  const flowOf = (fails: boolean) => {
    const flow = workflow({ name: 'goes on' });
    const stream = flow.task('stream', {
      version: '1',
      run: () => {
        called.push('stream');
        return of(1, 2, 3);
      },
    });
    const plain = flow.task('plain', {
      version: '1',
      run: () => {
        called.push('plain');
        return 10;
      },
    });
    const late = flow.task('late', {
      dependencies: [stream, plain],
      version: '1',
      run: () => {
        called.push('late');
        if (fails) throw new Error('planned');
      },
    });
    const reader = flow.task('reader', {
      dependencies: { stream: merged(stream), plain: merged(plain), late },
      version: '1',
      run: (inputs$) => {
        called.push('reader');
        return inputs$.pipe(
          map(({ value }) => value),
          toArray(),
        );
      },
    });
    return { flow, reader };
  };
  await flowOf(true).flow.run({ store, runId: 'r' }).result();
  assert.equal(called.splice(0).sort(), ['late', 'plain', 'stream']);
  const { flow, reader } = flowOf(false);
  const { results } = await flow.run({ store, runId: 'r', retry: 'failed' }).result();
  assert.equal(
    [...(results.get(reader) ?? [])].sort((a, b) => a - b),
    [1, 2, 3, 10],
  );
  assert.equal(called.splice(0).sort(), ['late', 'reader', 'stream']);
  await flow.run({ store, runId: 'r' }).result();
  assert.equal(called, []);
});

test('explain says which values have no partner, and of which merged stream one is enough', async () => {
  const scheduler = new VirtualTimeScheduler();
  const flow = workflow({ name: 'explained' });
  const a = flow.task('a', { run: () => saying(scheduler, { 10: 1, 20: 2, 30: 3 }) });
  const b = flow.task('b', { run: () => saying(scheduler, { 10: 1, 50: 2 }) });
  flow.task('pairs', { dependencies: [paired(a), paired(b)], run: (inputs$) => inputs$ });
  flow.task('all', { dependencies: [merged(a), merged(b)], run: (inputs$) => inputs$ });
  const run = flow.run({ scheduler });
  const result = run.result();
  const said: string[] = [];
  timer(5, scheduler).subscribe(() => said.push(run.explain('all')));
  timer(35, scheduler).subscribe(() => said.push(run.explain('pairs')));
  scheduler.flush();
  await result;
  assert.equal(said, [
    'Task "all" waits for "a" (running, merged: one of them is enough), "b" (running, merged: one of them is enough).',
    'Task "pairs" has been running for 0.0 s, attempt 1; values without a partner yet: 2 of "a".',
  ]);
});

test.run();
