import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AskedValues } from '../../lib/kernel/asked-values.js';

test('a value that comes while another one is taken does not overtake it, and none is lost', async () => {
  const waiting = [{ value: 1 }];
  const values: AskedValues<number> = new AskedValues(
    () => {
      const first = waiting.shift();
      // There is room for one more, which is there at once.
      if (first !== undefined && first.value < 3) {
        waiting.push({ value: first.value + 1 });
        values.answer();
      }
      return first;
    },
    () => undefined,
  );
  const asked = [values.next(), values.next(), values.next(), values.next()];
  values.finish({});
  assert.equal(await Promise.all(asked), [
    { done: false, value: 1 },
    { done: false, value: 2 },
    { done: false, value: 3 },
    { done: true, value: undefined },
  ]);
});

test('an error is told once, after what is there', async () => {
  const waiting = [{ value: 1 }];
  const values = new AskedValues<number>(
    () => waiting.shift(),
    () => undefined,
  );
  values.finish({ error: new Error('broken') });
  assert.equal(await values.next(), { done: false, value: 1 });
  const told = await values.next().catch((error: Error) => error.message);
  assert.is(told, 'broken');
  assert.equal(await values.next(), { done: true, value: undefined });
});

test.run();
