// Words go through three stages with limits of their own: looked up two at a time, translated one at a time, written in pairs.
// Each goes on as soon as it is through the stage before. The disk is full at first; then the run goes on, and repeats no call.

import { setTimeout as pause } from 'node:timers/promises';
import { memory, workflow } from '../lib/index.js';

const store = memory();
let calls = 0;

/** The whole line; `disk`: what the last stage writes with. */
function line(disk: (words: readonly string[]) => number) {
  const flow = workflow({ name: 'dictionary', groups: { web: { concurrency: 2 }, llm: { concurrency: 1 } } });
  const found = flow.each('look up', {
    from: ['bee', 'hive', 'honey', 'wax', 'queen'],
    key: (word) => word,
    group: 'web',
    ordered: true, // the order of the list, however long each takes
    version: '1',
    run: async (word) => {
      calls += 1;
      await pause(word === 'hive' ? 30 : 5);
      return word;
    },
  });
  const translated = flow.each('translate', {
    from: found, // a word comes when it is found
    group: 'llm',
    retry: 2,
    version: '1',
    run: async (word) => {
      calls += 1;
      await pause(10);
      return word.toUpperCase();
    },
  });
  const written = flow.each('write', {
    from: translated,
    batch: { size: 2, ms: 500 },
    version: '1',
    run: (words) => disk(words),
    scan: { seed: 0, step: (sum, length) => sum + length },
  });
  return { flow, written };
}

const broken = line(() => {
  throw new Error('the disk is full');
});
const first = await broken.flow.run({ store, runId: 'words' }).result();
console.log(
  `${first.status} after ${calls} calls: ${first.results.get(broken.written)?.failed} batches failed`,
);

const whole = line((words) => {
  console.log(`write ${words.join(' and ')}`);
  return words.join('').length;
});
const second = await whole.flow.run({ store, runId: 'words', retry: 'failed' }).result();
console.log(`${second.status} after ${calls} calls: ${second.results.get(whole.written)?.reduced} letters`);
