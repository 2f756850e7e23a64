import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PulledItems } from '../../lib/kernel/pulled-items.js';

type Answer = IteratorResult<number>;

/** A source that answers as `next` says, and what came of it. */
function pulling(next: () => unknown) {
  const log: string[] = [];
  const iterator = {
    next: () => {
      log.push('asked');
      return next() as Answer;
    },
    return: () => {
      log.push('left');
      throw new Error('nobody hears this');
    },
  };
  const items = new PulledItems<number>({ [Symbol.iterator]: () => iterator }, () => log.push('more'));
  return { items, log };
}

const one = (value: number): Answer => ({ done: false, value });
const end: Answer = { done: true, value: undefined };

test('answers that are there are taken at once, and the end is asked for once', () => {
  const answers = [one(1), one(2), end];
  const { items, log } = pulling(() => answers.shift());
  assert.equal([items.take(), items.take()], [{ item: 1 }, { item: 2 }]);
  assert.not(items.done);
  assert.equal([items.take(), items.take(), items.done], [undefined, undefined, true]);
  assert.equal(log, ['asked', 'asked', 'asked']);
});

test('while an answer is on its way nothing more is asked for', async () => {
  const { items, log } = pulling(() => Promise.resolve(one(1)));
  assert.equal([items.take(), items.take()], [undefined, undefined]);
  await Promise.resolve();
  assert.equal(log, ['asked', 'more']);
  assert.equal(items.take(), { item: 1 });
  assert.equal(log, ['asked', 'more']);
});

test('a thenable that answers within the call is taken within it', () => {
  // biome-ignore lint/suspicious/noThenProperty: it is one that is no promise.
  const atOnce = { then: (done: (answer: Answer) => void) => done(one(1)) };
  const { items } = pulling(() => atOnce);
  assert.equal([items.take(), items.take()], [{ item: 1 }, { item: 1 }]);
});

test('what it throws, now or later, and what is no answer are thrown once', async () => {
  const broken = (): never => {
    throw new Error('broken');
  };
  const late = pulling(() => Promise.reject(new Error('broken')));
  late.items.take();
  await Promise.resolve();
  for (const { items, text } of [
    { ...pulling(broken), text: 'broken' },
    { ...late, text: 'broken' },
    { ...pulling(() => undefined), text: 'next() of the source returned undefined; return { done, value }.' },
  ]) {
    assert.throws(
      () => items.take(),
      (error: Error) => error.message.startsWith(text),
    );
    assert.equal([items.take(), items.done], [undefined, true]);
  }
});

test('a source is left once, and what it says later is not heard', async () => {
  const { items, log } = pulling(() => Promise.resolve(one(1)));
  items.take();
  items.leave();
  items.leave();
  await Promise.resolve();
  assert.equal([items.take(), items.done], [undefined, true]);
  assert.equal(log, ['asked', 'left']);
});

test.run();
