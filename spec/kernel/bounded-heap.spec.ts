import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BoundedHeap } from '../../lib/kernel/bounded-heap.js';

interface Item {
  readonly key: number;
  readonly size: number;
  readonly seq: number;
}

const small = fc.nat({ max: 20 });
const steps = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('add' as const), key: fc.nat({ max: 9 }), size: small }),
    fc.record({ do: fc.constant('add' as const), key: fc.nat({ max: 9 }), size: small }),
    fc.record({ do: fc.constant('remove' as const), at: fc.nat({ max: 99 }) }),
    fc.record({ do: fc.constant('best' as const), most: small }),
  ),
  { maxLength: 150, size: 'max' },
);
const before = (a: Item, b: Item): boolean => a.key < b.key || (a.key === b.key && a.seq < b.seq);

test('the best of those that are not too large is found, whatever is put in and taken out', () => {
  fc.assert(
    fc.property(steps, (all) => {
      const heap = new BoundedHeap<Item>(before);
      let model: Item[] = [];
      for (const [seq, step] of all.entries()) {
        if (step.do === 'add') {
          const item = { key: step.key, size: step.size, seq };
          heap.add(item, item.size);
          model.push(item);
        } else if (step.do === 'remove') {
          const item = model[step.at];
          if (item !== undefined) heap.remove(item);
          model = model.filter((one) => one !== item);
        } else {
          const [best] = model
            .filter(({ size }) => size <= step.most)
            .sort((a, b) => (before(a, b) ? -1 : 1));
          assert.is(heap.best(step.most), best);
        }
        assert.is(heap.size, model.length);
        assert.equal(heap.items, model);
      }
    }),
  );
});

test('what is not in it cannot be taken out', () => {
  const heap = new BoundedHeap<Item>(before);
  const item = { key: 1, size: 1, seq: 1 };
  heap.remove(item);
  heap.add(item, 1);
  heap.remove(item);
  heap.remove(item);
  assert.is(heap.best(9), undefined);
});

test.run();
