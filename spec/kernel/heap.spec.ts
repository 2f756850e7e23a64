import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Heap, type HeapItem } from '../../lib/kernel/heap.js';
import { RowHeap } from '../../lib/kernel/row-heap.js';

interface Item extends HeapItem {
  key: number;
  readonly seq: number;
}

type Step =
  | { readonly do: 'push'; readonly key: number }
  | { readonly do: 'pop' }
  | { readonly do: 'remove'; readonly at: number }
  | { readonly do: 'rekey'; readonly at: number; readonly key: number }
  | { readonly do: 'before'; readonly at: number; readonly most: number };

const key = fc.integer({ min: 0, max: 9 });
const at = fc.nat({ max: 99 });
const steps = fc.array(
  fc.oneof<fc.Arbitrary<Step>[]>(
    fc.record({ do: fc.constant('push'), key }),
    fc.record({ do: fc.constant('push'), key }),
    fc.record({ do: fc.constant('pop') }),
    fc.record({ do: fc.constant('remove'), at }),
    fc.record({ do: fc.constant('rekey'), at, key }),
    fc.record({ do: fc.constant('before'), at, most: fc.nat({ max: 12 }) }),
  ),
  { maxLength: 250, size: 'max' },
);

const before = (a: Item, b: Item): boolean => a.key < b.key || (a.key === b.key && a.seq < b.seq);

for (const [name, Kind] of Object.entries({ heap: Heap, 'heap with a row': RowHeap }))
  test(`a ${name} is a sorted list, whatever is put in, taken out and re-keyed`, () => {
    fc.assert(
      fc.property(steps, (all) => {
        const heap = new Kind<Item>(before);
        let model: Item[] = [];
        let seq = 0;
        const sorted = (): Item[] => [...model].sort((a, b) => (before(a, b) ? -1 : 1));
        for (const step of all) {
          const one = 'at' in step ? model[step.at % Math.max(1, model.length)] : undefined;
          if (step.do === 'push') {
            const item: Item = { key: step.key, seq: seq++, heapIndex: -1 };
            heap.push(item);
            model.push(item);
          } else if (step.do === 'pop') {
            const first = sorted()[0];
            assert.is(heap.pop(), first);
            if (first !== undefined) assert.is(first.heapIndex, -1);
            model = model.filter((item) => item !== first);
          } else if (one === undefined) continue;
          else if (step.do === 'remove') {
            heap.remove(one);
            heap.remove(one); // what is in no heap is left alone
            model = model.filter((item) => item !== one);
          } else if (step.do === 'rekey') {
            one.key = step.key;
            heap.update(one);
          } else assert.is(heap.before(one, step.most), Math.min(sorted().indexOf(one), step.most));
          assert.is(heap.size, model.length);
          assert.is(heap.peek(), sorted()[0]);
        }
        const rest = sorted();
        assert.equal(
          rest.map(() => heap.pop()?.seq),
          rest.map((item) => item.seq),
        );
      }),
      { numRuns: 500 },
    );
  });

test('a row that is mostly gaps still knows where its items are', () => {
  const kept = fc.array(fc.nat({ max: 9 }), { minLength: 100, maxLength: 300, size: 'max' });
  fc.assert(
    fc.property(kept, fc.func(fc.nat({ max: 9 })), (draws, again) => {
      const heap = new RowHeap<Item>(before);
      const items = draws.map((_, seq): Item => ({ key: 0, seq, heapIndex: -1 }));
      for (const item of items) heap.push(item);
      const removed = (draw: number): boolean => draw > 0;
      items.forEach((item, i) => {
        if (removed(draws[i] as number)) heap.remove(item);
      });
      const left = items.filter((_, i) => !removed(draws[i] as number));
      const rest = left.filter(({ seq }) => !removed(again(seq)));
      for (const item of left) if (!rest.includes(item)) heap.remove(item);
      assert.is(heap.size, rest.length);
      assert.equal(
        rest.map(() => heap.pop()?.seq),
        rest.map(({ seq }) => seq),
      );
    }),
  );
});

test.run();
