import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LastWrites } from '../../lib/commit/conflict.js';

const path = fc.array(fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.nat({ max: 2 })), { maxLength: 4 });
const writes = fc.array(path, { maxLength: 30, size: 'max' });
type Path = readonly (string | number)[];

/** A write to a place of an array is one to all of it. */
const whole = (written: Path): Path => {
  const place = written.findIndex((key) => typeof key === 'number');
  return place < 0 ? written : written.slice(0, place);
};
const within = (a: Path, b: Path): boolean => a.every((key, i) => key === b[i]);
const touches = (written: Path, read: Path): boolean => {
  const one = whole(written);
  return within(one, read) || within(read, one);
};

test('a read clashes with a write exactly where a list of all writes says so', () => {
  fc.assert(
    fc.property(writes, path, fc.nat({ max: 31 }), (all, read, base) => {
      const trie = new LastWrites();
      for (const [i, one] of all.entries()) trie.write(one, i + 1, `w${i + 1}`);
      const newer = all.flatMap((one, i) => (i + 1 > base && touches(one, whole(read)) ? [`w${i + 1}`] : []));
      const clash = trie.clash(whole(read), base);
      assert.is(clash !== undefined, newer.length > 0);
      if (clash === undefined) return;
      assert.ok(newer.includes(clash.writer), `${clash.writer} of ${newer}`);
      const newest = Math.max(0, ...all.flatMap((one, i) => (touches(one, whole(read)) ? [i + 1] : [])));
      assert.is(trie.newest(whole(read)), newest);
    }),
    { numRuns: 2_000 },
  );
});

test('what was cleared clashes with nothing', () => {
  const trie = new LastWrites();
  trie.write(['a'], 1, 'w');
  trie.clear();
  assert.is(trie.clash([], 0), undefined);
});

test.run();
