import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Fifo } from '../../lib/kernel/fifo.js';

test('it gives what an array gives whose first is taken out', () => {
  const steps = fc.array(
    fc.oneof(
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: -60, max: -1 }),
      fc.constantFrom(0, Number.NaN),
    ),
  );
  fc.assert(
    fc.property(steps, (counts) => {
      const fifo = new Fifo<number>();
      let row: number[] = [];
      let next = 0;
      for (const count of counts) {
        // Above 0: so many are put in; below: so many are taken out; 0: it is emptied; NaN: one is put before the first.
        for (let i = 0; i < count; i++) {
          fifo.push(next);
          row.push(next++);
        }
        for (let i = count; i < 0; i++) assert.is(fifo.shift(), row.shift());
        if (Number.isNaN(count)) {
          fifo.unshift(next);
          row.unshift(next++);
        }
        if (count === 0) {
          fifo.clear();
          row = [];
        }
        assert.equal([fifo.size, fifo.peek()], [row.length, row[0]]);
      }
    }),
  );
});

test.run();
