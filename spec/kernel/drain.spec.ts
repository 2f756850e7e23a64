import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Drain, type TurnEnd } from '../../lib/kernel/drain.js';

/** An item, what handling it pushes, and work it puts off to the end of the turn. */
interface Node {
  readonly id: number;
  readonly pushes: readonly Node[];
  readonly later: { readonly order: number; readonly pushes: readonly Node[] } | undefined;
}

const tree: (depth?: number) => fc.Arbitrary<Node> = fc.memo((depth) => {
  const below = depth <= 1 ? fc.constant([]) : fc.array(tree(), { maxLength: 2 });
  const later = fc.record({ order: fc.nat({ max: 5 }), pushes: below });
  return fc.record({ id: fc.nat(), pushes: below, later: fc.option(later, { nil: undefined }) });
});

/** A clock that says it is time to rest as the list says, and whose next turn comes when it is called. */
function clockOf(overdue: boolean[]): {
  turns: (() => void)[];
  overdue: boolean;
  nextTurn(work: () => void): void;
  context: { runInAsyncScope<T>(work: () => T): T };
} {
  const turns: (() => void)[] = [];
  return {
    turns,
    get overdue() {
      return overdue.shift() === true;
    },
    nextTurn: (work) => void turns.push(work),
    context: { runInAsyncScope: (work) => work() },
  };
}

test('items are handled once, first in first out, never one within another; end-of-turn work by its order', () => {
  fc.assert(
    fc.property(
      fc.array(tree(4), { maxLength: 20, size: 'max' }),
      fc.array(fc.boolean(), { maxLength: 60, size: 'max' }),
      (roots, rests) => {
        const handled: Node[] = [];
        const expected: Node[] = [];
        let inside = 0;
        let idles = 0;
        const clock = clockOf([...rests]);
        const put = (later: NonNullable<Node['later']>, push: (node: Node) => void): TurnEnd => ({
          heapIndex: -1,
          order: later.order,
          run: () => {
            assert.is(inside, 0, 'work at the end of a turn is not within an item');
            for (const one of later.pushes) push(one);
          },
        });
        const drain: Drain<Node> = new Drain<Node>(
          clock as never,
          (node) => {
            assert.is(inside, 0, 'one item is handled within another');
            inside += 1;
            handled.push(node);
            for (const one of node.pushes) drain.push(one);
            if (node.later !== undefined) drain.atTurnEnd(put(node.later, (one) => drain.push(one)));
            inside -= 1;
          },
          () => {
            idles += 1;
          },
          () => assert.unreachable() as never,
        );
        for (const root of roots) {
          drain.push(root);
          for (let turn = clock.turns.shift(); turn !== undefined; turn = clock.turns.shift()) turn();
        }
        assert.not.ok(drain.pending);
        // All of them, once.
        const count = (nodes: readonly Node[]): void => {
          for (const node of nodes) {
            expected.push(node);
            count(node.pushes);
            count(node.later?.pushes ?? []);
          }
        };
        count(roots);
        assert.is(handled.length, expected.length);
        assert.is(new Set(handled).size, new Set(expected).size);
        assert.ok(idles >= roots.length);
        // Siblings keep their order.
        const place = new Map(handled.map((node, i) => [node, i]));
        for (const { pushes } of expected)
          for (let i = 1; i < pushes.length; i++)
            assert.ok((place.get(pushes[i - 1] as Node) ?? 0) < (place.get(pushes[i] as Node) ?? 0));
      },
    ),
    { numRuns: 500 },
  );
});

test('a chain of 200,000 items does not grow the stack', () => {
  let left = 200_000;
  const drain: Drain<number> = new Drain<number>(
    clockOf([]) as never,
    () => {
      left -= 1;
      if (left > 0) drain.push(left);
    },
    () => undefined,
    () => assert.unreachable() as never,
  );
  drain.push(left);
  assert.is(left, 0);
});

test('work in steps is done before anything that is queued, however often it rests', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 900 }), { maxLength: 6 }),
      fc.array(fc.boolean(), { maxLength: 200, size: 'max' }),
      (sizes, rests) => {
        const clock = clockOf([...rests]);
        const done: string[] = [];
        let idle = 0;
        const drain: Drain<() => void> = new Drain<() => void>(
          clock as never,
          (work) => work(),
          () => {
            idle = done.length;
          },
          (work) => work,
        );
        function* stepsOf(name: number, size: number): Generator<void> {
          for (let i = 0; i < size; i++) {
            if (i === size >> 1) drain.push(() => done.push(`${name} after`));
            done.push(`${name} ${i}`);
            yield;
          }
        }
        for (const [name, size] of sizes.entries()) drain.push(() => drain.slice(stepsOf(name, size)));
        for (let turn = clock.turns.shift(); turn !== undefined; turn = clock.turns.shift()) turn();
        for (const [name, size] of sizes.entries()) {
          const mine = done.filter((one) => one.startsWith(`${name} `));
          const expected = Array.from({ length: size }, (_, i) => `${name} ${i}`);
          assert.equal(mine, size === 0 ? [] : [...expected, `${name} after`]);
          const first = done.indexOf(`${name} 0`);
          assert.equal(done.slice(first, first + size), size === 0 ? [] : expected);
        }
        assert.is(idle, done.length);
      },
    ),
    { numRuns: 300 },
  );
});

test.run();
