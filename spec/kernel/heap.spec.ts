import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Heap, type HeapItem } from '../../lib/kernel/heap.js';

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
  { maxLength: 120 },
);

const before = (a: Item, b: Item): boolean => a.key < b.key || (a.key === b.key && a.seq < b.seq);

test('a heap is a sorted list, whatever is put in, taken out and re-keyed', () => {
  fc.assert(
    fc.property(steps, (all) => {
      const heap = new Heap<Item>(before);
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

test.run();
