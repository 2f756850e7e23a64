import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KeptJobs } from '../../lib/executors/kept-jobs.js';

const lock = (n: number) => ({ queue: n % 3, job: `a${n} ü`, token: `t:${n}` });

test('who shares the memory reads exactly what is kept', () => {
  const steps = fc.array(fc.record({ keeps: fc.boolean(), which: fc.nat(50) }), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (given) => {
      const kept = KeptJobs.withRows(5);
      const reader = new KeptJobs(kept.memory);
      const rows = new Map<number, number>();
      for (const { keeps, which } of given) {
        const [first] = rows;
        if (keeps && !rows.has(which) && rows.size < 5) rows.set(which, kept.keep(lock(which)));
        else if (first !== undefined) {
          kept.forget(first[1]);
          rows.delete(first[0]);
          assert.not(kept.has(first[1], lock(first[0])));
        }
        const expected = [...rows].map(([n, row]) => ({ row, ...lock(n) })).sort((a, b) => a.row - b.row);
        assert.equal(reader.read(), expected);
        for (const [n, row] of rows) assert.ok(kept.has(row, lock(n)));
      }
    }),
  );
});

test('a row that is being written is not read', () => {
  const kept = KeptJobs.withRows(2);
  const row = kept.keep(lock(1));
  kept.keep(lock(2));
  // What the writer does first.
  Atomics.add(new Int32Array(kept.memory), (row * 256) / 4, 1);
  assert.equal(kept.read().length, 1);
});

test('more locks than rows, and those too long for one, are refused', () => {
  const kept = KeptJobs.withRows(1);
  assert.throws(() => kept.keep({ queue: 0, job: 'a'.repeat(300), token: '' }), /takes the lock/);
  const row = kept.keep(lock(1));
  assert.throws(() => kept.keep(lock(2)), /No row is free/);
  kept.forget(row);
  kept.keep(lock(2));
});

test.run();
