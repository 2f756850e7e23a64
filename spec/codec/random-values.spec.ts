import { deepStrictEqual } from 'node:assert';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { memory, type RxhiveError, typed, type WorkflowResult, workflow } from '../../lib/index.js';
import { kept, same, turned, within } from '../support/any-value.js';

const runs = Number(process.env.RUNS ?? 300);
const seed = process.env.SEED === undefined ? {} : { seed: Number(process.env.SEED) };

interface Lives {
  readonly first: WorkflowResult<{ x?: unknown }>;
  readonly again: WorkflowResult<{ x?: unknown }>;
}

/** The same value as result, in the state, and as result of another; then once more from the log. */
async function lives(value: unknown): Promise<Lives> {
  const store = memory();
  const make = (): Promise<WorkflowResult<{ x?: unknown }>> => {
    const flow = workflow({ name: 'values', state: {} as { x?: unknown } });
    flow.task('result', { version: '1', run: () => value });
    flow.task('state', {
      version: '1',
      run: (_, ctx) =>
        ctx.update((s) => {
          s.x = value;
        }),
    });
    return flow.run({ store, runId: 'r' }).result();
  };
  const first = await make();
  return { first, again: await make() };
}

function check(
  { first, again }: Lives,
  id: string,
  value: unknown,
  read: (result: Lives['first']) => unknown,
): boolean {
  const error = first.tasks.get(id)?.error as RxhiveError | undefined;
  if (error !== undefined) {
    assert.is(error.code, 'NOT_SERIALIZABLE', String(error));
    assert.match(error.message, id === 'result' ? /^the result/ : /^(state|The state)/);
    return false;
  }
  assert.is(first.tasks.get(id)?.status, 'succeeded');
  assert.is(again.tasks.get(id)?.status, 'restored');
  deepStrictEqual(read(first), value);
  deepStrictEqual(read(again), value);
  return true;
}

test('every value that a log takes comes back equal, as a result and in the state', async () => {
  await fc.assert(
    fc.asyncProperty(kept, async (value) => {
      const both = await lives(value);
      assert.ok(
        check(both, 'result', value, (one) => one.results.get('result')),
        'the result is taken',
      );
      check(both, 'state', value, (one) => one.state.x);
    }),
    { numRuns: runs, ...seed },
  );
});

test('every value comes back equal, or is refused with its place', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        within,
        kept,
        fc.anything({ withNullPrototype: true, withSparseArray: true, withTypedArray: true }),
      ),
      async (value) => {
        const both = await lives(value);
        check(both, 'result', value, (one) => one.results.get('result'));
        check(both, 'state', value, (one) => one.state.x);
      },
    ),
    { numRuns: runs, ...seed },
  );
});

test('an input is the same in any order, and another one is not', async () => {
  await fc.assert(
    fc.asyncProperty(kept, kept, async (input, other) => {
      const store = memory();
      const go = async (given: unknown): Promise<unknown> => {
        const flow = workflow({ name: 'given', input: typed<unknown>() });
        flow.task('t', { run: () => 1 });
        const ended = flow.run({ store, runId: 'r', input: given }).result();
        return ended.then(
          ({ status }) => status,
          ({ code }: RxhiveError) => code,
        );
      };
      assert.is(await go(input), 'succeeded');
      assert.is(await go(turned(input)), 'succeeded');
      assert.is(await go(other), same(input, other) ? 'succeeded' : 'INVALID_INPUT');
    }),
    { numRuns: runs, ...seed },
  );
});

test.run();
