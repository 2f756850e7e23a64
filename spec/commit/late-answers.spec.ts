import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { channel, human, memory, type Run, type TaskContext, typed, workflow } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';
import { LateStore } from '../support/late-store.js';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000);
const numRuns = Number(process.env.RUNS ?? 300);

interface Shared {
  n: number;
  seen: number[];
}

const kinds = ['counts', 'asks', 'says', 'counts alone'] as const;

/** What tasks do, after a pause each; what the store does with call after call; how the log is written and kept short. */
const programs = fc.record({
  tasks: fc.array(fc.record({ kind: fc.constantFrom(...kinds), pause: fc.nat(6) }), {
    minLength: 1,
    maxLength: 8,
  }),
  answers: fc.array(fc.oneof(fc.constant('at once' as const), fc.nat(9)), { minLength: 1, maxLength: 6 }),
  durability: fc.constantFrom('sync' as const, 'group' as const, 'exit' as const),
  compact: fc.option(fc.record({ keep: fc.nat(2) }), { nil: undefined }),
});
type Program = typeof programs extends fc.Arbitrary<infer T> ? T : never;

const count = (ctx: TaskContext<Shared>): void =>
  ctx.update((s) => {
    s.n += 1;
  });

function define({ tasks }: Program, called: (kind: string) => void) {
  const flow = workflow({ name: 'late', concurrency: 4, state: { n: 0, seen: [] } as Shared });
  const words = channel<number>('words');
  for (const [i, { kind, pause }] of tasks.entries())
    flow.task(`t${i}`, {
      version: '1',
      ...(kind === 'counts alone' && { isolation: 'serializable' as const }),
      run: async (_, ctx) => {
        called(kind);
        const seen = kind === 'counts alone' ? ctx.read((s) => s.n) : -1;
        await ctx.sleep(pause);
        if (kind === 'asks') return ctx.ask(human(typed<string>(), { prompt: `question ${i}` }));
        if (kind === 'says') await ctx.send(words, i);
        else if (kind === 'counts') count(ctx);
        else
          ctx.update((s) => {
            s.n = seen + 1;
            s.seen.push(seen);
          });
        return kind;
      },
    });
  return flow;
}

/** The result, once nothing more happens; undefined for a run that hangs. */
async function ended<R>(run: Run<Shared, never>, scheduler: SimulationScheduler): Promise<R | undefined> {
  run.questions$.subscribe((open) => {
    for (const { id } of open) run.answer(id, `answer to ${id}`).catch(() => undefined);
  });
  const result = run.result() as Promise<R>;
  await advance(scheduler);
  return Promise.race([result, undefined]);
}

test(`stores that answer now or later: every run ends, in the same state, and goes on there, seed ${seed}`, () =>
  fc.assert(
    fc.asyncProperty(programs, async (program) => {
      const { tasks, answers, durability, compact } = program;
      const scheduler = new SimulationScheduler();
      const store = new LateStore(memory(), scheduler);
      store.auto = () => answers[store.asked.length % answers.length];
      const calls = new Map<string, number>();
      const flow = define(program, (kind) => calls.set(kind, (calls.get(kind) ?? 0) + 1));
      const options = { store, runId: 'r', durability, scheduler, ...(compact && { compact }) };
      type Result = Awaited<ReturnType<ReturnType<typeof flow.run>['result']>>;
      const result = await ended<Result>(flow.run(options) as never, scheduler);
      assert.ok(result !== undefined, 'the run hangs');
      assert.is(result.status, 'succeeded', String(result.error));
      const alone = tasks.filter(({ kind }) => kind === 'counts alone').length;
      const changes = alone + tasks.filter(({ kind }) => kind === 'counts').length;
      assert.is(result.state.n, changes);
      // Whoever counts alone has seen what was there when it counted.
      assert.equal(
        result.state.seen,
        [...result.state.seen].sort((a, b) => a - b),
      );
      assert.is(new Set(result.state.seen).size, alone);
      // It runs again after a commit of another, and not while that is being written.
      assert.ok((calls.get('counts alone') ?? 0) <= alone * changes, `${calls.get('counts alone')} bodies`);
      calls.clear();
      const again = await ended<Result>(flow.run(options) as never, scheduler);
      assert.equal([again?.state, calls.size], [result.state, 0]);
    }),
    { seed, numRuns },
  ));

test.run();
