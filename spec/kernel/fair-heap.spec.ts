import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FairHeap, type Share } from '../../lib/kernel/fair-heap.js';

interface Item {
  heapIndex: number;
  readonly id: number;
  readonly share: Share | undefined;
  level: number;
}

const before = (a: Item, b: Item): boolean => (a.level === b.level ? a.id < b.id : a.level > b.level);

/** The same by looking at everything: all items in a list, and for each share when its next turn begins. */
class Model {
  readonly items: Item[] = [];
  readonly starts = new Map<Share | undefined, number>();
  now = 0;

  startOf(share: Share | undefined): number {
    const start = this.starts.get(share) ?? 0;
    return this.items.some((one) => one.share === share) ? start : Math.max(start, this.now);
  }

  push(item: Item): void {
    this.starts.set(item.share, this.startOf(item.share));
    this.items.push(item);
  }

  remove(item: Item): void {
    const at = this.items.indexOf(item);
    if (at >= 0) this.items.splice(at, 1);
  }

  took(share: Share | undefined): void {
    this.now = Math.max(this.now, this.starts.get(share) ?? 0);
    this.starts.set(share, this.now + 1 / (share?.weight ?? 1));
  }

  precedes(a: Item, b: Item): boolean {
    if (a.level !== b.level) return a.level > b.level;
    if (a.share === b.share) return before(a, b);
    const [one, other] = [this.startOf(a.share), this.startOf(b.share)];
    return one === other ? before(a, b) : one < other;
  }

  get first(): Item | undefined {
    return this.items.reduce<Item | undefined>(
      (best, one) => (best === undefined || this.precedes(one, best) ? one : best),
      undefined,
    );
  }
}

type Step =
  | { readonly do: 'push'; readonly share: number; readonly level: number }
  | { readonly do: 'take' }
  | { readonly do: 'remove' | 'update' | 'compare'; readonly at: number; readonly level: number }
  | { readonly do: 'took'; readonly share: number }
  /** Many come and go again, so that idle ones are forgotten. */
  | { readonly do: 'flood'; readonly share: number };

const level = fc.integer({ min: 0, max: 2 });
/** Weights whose turns are sums that floating point has exactly. */
const weights = [1, 2, 4, 0.5];
const shares: readonly (Share | undefined)[] = [
  undefined,
  ...Array.from({ length: 200 }, (_, i) => ({ key: String(i), weight: weights[i % 4] as number })),
];
/** Few are used much, and many once. */
const share = fc.oneof({ weight: 4, arbitrary: fc.nat(4) }, fc.nat(shares.length - 1));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('push' as const), share, level }) },
  { weight: 3, arbitrary: fc.constant({ do: 'take' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('remove', 'update', 'compare'), at: fc.nat(50), level }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('took', 'flood'), share }) },
);

/** Does the steps with both; the first item has to be the same after each. */
function follow(steps: readonly Step[]): void {
  const model = new Model();
  const heap = new FairHeap<Item>(before, (item) => item.level);
  let made = 0;
  const at = (index: number): Item | undefined => model.items[index % Math.max(1, model.items.length)];
  for (const one of steps) {
    if (one.do === 'push') {
      const item = { heapIndex: -1, id: made++, share: shares[one.share], level: one.level };
      model.push(item);
      heap.push(item);
    } else if (one.do === 'take') {
      const item = heap.peek();
      if (item === undefined) continue;
      heap.remove(item);
      model.remove(item);
      heap.took(item.share);
      model.took(item.share);
    } else if (one.do === 'flood') {
      for (let i = 0; i < 100; i++) {
        const item = { heapIndex: -1, id: made++, share: shares[(one.share + i) % shares.length], level: 0 };
        model.push(item);
        heap.push(item);
        model.remove(item);
        heap.remove(item);
      }
    } else if (one.do === 'took') {
      heap.took(shares[one.share]);
      model.took(shares[one.share]);
    } else {
      const item = at(one.at);
      if (item === undefined) continue;
      if (one.do === 'remove') {
        model.remove(item);
        heap.remove(item);
        // One that is not in it any more is left alone.
        heap.remove(item);
      } else if (one.do === 'update') {
        item.level = one.level;
        heap.update(item);
      } else {
        const other = at(one.at + 1) as Item;
        if (item !== other) assert.is(heap.precedes(item, other), model.precedes(item, other));
        const foreign = { heapIndex: -1, id: -1, share: shares[one.at], level: one.level };
        assert.is(heap.precedes(foreign, item), model.precedes(foreign, item));
      }
    }
    assert.is(heap.peek()?.id, model.first?.id);
    assert.is(heap.size, model.items.length);
  }
}

test('shares take turns as in a model that looks at everything', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300, size: 'max' }), (steps) => follow(steps)),
    { numRuns: 500 },
  );
});

test('of two that always have something, who has twice the weight has twice the turns', () => {
  const heap = new FairHeap<Item>(before, () => 0);
  const [one, two] = [
    { key: 'one', weight: 1 },
    { key: 'two', weight: 2 },
  ];
  for (let id = 0; id < 600; id++)
    heap.push({ heapIndex: -1, id, share: id % 2 === 0 ? one : two, level: 0 });
  const turns = new Map<string, number>();
  for (let i = 0; i < 300; i++) {
    const item = heap.peek() as Item;
    heap.remove(item);
    heap.took(item.share);
    turns.set(item.share?.key ?? '', (turns.get(item.share?.key ?? '') ?? 0) + 1);
  }
  assert.is(turns.get('one'), 100);
  assert.is(turns.get('two'), 200);
});

test.run();
