// Agents that compute: in threads, and in this process with breath. A clock shows that nobody stops the event loop.
// Needs piscina: npm install piscina

import { threads } from '../lib/executors/threads.js';
import { workflow } from '../lib/index.js';
import { type countPrimes, isPrime } from './support/primes.js';

const flow = workflow({ name: 'primes', concurrency: 8 });
const inThread = threads<typeof countPrimes>({
  file: new URL('./support/primes.ts', import.meta.url),
  name: 'countPrimes',
});
const step = 150_000;
const from = flow.task('from', { run: () => 0 });
const to = flow.task('to', { run: () => step });
const thread = flow.task('thread', { dependencies: { from, to }, executor: inThread, timeout: 20_000 });
const breath = flow.task('breath', {
  dependencies: { to },
  run: async ({ to }, ctx) => {
    let count = 0;
    for (let n = 2; n < to; n++) {
      if (isPrime(n)) count += 1;
      await ctx.breathe(); // resolves at once until 8 ms were computed
    }
    return count;
  },
});

let longest = 0;
let last = performance.now();
const clock = setInterval(() => {
  longest = Math.max(longest, performance.now() - last);
  last = performance.now();
}, 2);
const result = (await flow.run().result()).orThrow();
clearInterval(clock);
console.log(
  `primes below ${step}: ${result.results.get(thread)} in a thread, ${result.results.get(breath)} with breath`,
);
console.log(`the event loop was busy for at most ${longest.toFixed(0)} ms in a row`);
