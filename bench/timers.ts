import { timer, VirtualTimeScheduler } from 'rxjs';
import { SimulationScheduler } from '../dist/testing/index.js';

// Parallel timers in virtual time, all pending at once: ms in all, and us a timer.
function cost(scheduler: SimulationScheduler | VirtualTimeScheduler, timers: number): number {
  let fired = 0;
  const begun = performance.now();
  for (let i = 0; i < timers; i++) {
    timer((i * 7919) % 60_000, scheduler).subscribe(() => {
      fired += 1;
    });
  }
  scheduler.flush();
  const ms = performance.now() - begun;
  if (fired !== timers) throw new Error(`${fired} of ${timers} timers fired`);
  return ms;
}

console.log('parallel timers          1,000              10,000              30,000');
for (const [name, make, most] of [
  ['SimulationScheduler', () => new SimulationScheduler(), 30_000],
  ['VirtualTimeScheduler', () => new VirtualTimeScheduler(), 10_000],
] as const) {
  const cells = [1_000, 10_000, 30_000].map((n) => {
    if (n > most) return '-'.padStart(20);
    const ms = cost(make(), n);
    return `${ms.toFixed(0)} ms, ${((ms * 1000) / n).toFixed(1)} us`.padStart(20);
  });
  console.log(`${name.padEnd(20)}${cells.join('')}`);
}
const best = Math.min(...Array.from({ length: 3 }, () => cost(new SimulationScheduler(), 30_000)));
console.log(`${best < 500 ? 'met' : 'NOT MET'}: 30,000 parallel timers in ${best.toFixed(0)} ms (goal 500)`);
