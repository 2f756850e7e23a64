import { inspect } from 'node:util';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Program, programs } from '../support/random-program.js';
import { Broken, differenceOf, type Lived, live } from '../support/random-recovery.js';
import { liveElsewhere, portable, type Way } from '../support/random-remote.js';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000);
const runs = Number(process.env.PROGRAMS ?? 300);
const path = process.env.REPLAY;

const chance = fc.constantFrom(0, 0.1);
const ways: fc.Arbitrary<Way> = fc.record({
  seed: fc.nat(),
  workers: fc.integer({ min: 1, max: 3 }),
  slots: fc.integer({ min: 1, max: 4 }),
  latency: fc.integer({ min: 0, max: 20 }),
  duplicate: chance,
  lose: chance,
  late: chance,
  reorder: fc.boolean(),
  // A task survives two of them.
  kills: fc.array(fc.record({ at: fc.integer({ min: 1, max: 40 }), worker: fc.nat(2) }), { maxLength: 2 }),
  deaths: fc.array(fc.integer({ min: 1, max: 15 }), { maxLength: 2 }),
  pause: fc.integer({ min: 0, max: 50 }),
});

/** Whether others of several had succeeded before it was clear that too few would depends on the way. */
function unhurried(lived: Lived): Lived {
  const { outcome } = lived;
  return outcome.status === 'partial' ? { ...lived, outcome: { ...outcome, status: 'failed' } } : lived;
}

/** What all programs of the suite had together. */
const all = { begun: 0, lost: 0, controllers: 0 };

async function check(given: Program, way: Way): Promise<void> {
  const program = portable(given);
  const here = await live(program, [], 0);
  const there = await liveElsewhere(program, way);
  const wrong = differenceOf(unhurried({ ...here, compensated: [] }), unhurried(there));
  if (wrong !== undefined) throw new Broken(wrong);
  // Whoever runs again, for its worker was lost, has the next number.
  const twice = there.begun.filter((one, i) => there.begun.indexOf(one) !== i);
  const wrongly = twice.filter((one) => !there.withdrawn.has(one.slice(0, one.lastIndexOf('#'))));
  if (wrongly.length > 0) throw new Broken(`begun twice: ${wrongly.join()}`);
  all.begun += there.begun.length;
  all.lost += there.lost;
  all.controllers += there.controllers;
}

test(`${runs} random programs end as in this process where workers do their bodies (seed ${seed})`, async () => {
  const details = await fc.check(fc.asyncProperty(programs, ways, check), {
    numRuns: runs,
    seed,
    ...(path !== undefined && { path }),
  });
  const { counterexample, counterexamplePath, errorInstance, numRuns } = details;
  const told = (): string => {
    const [program, way] = counterexample as [Program, Way];
    const shown = [portable(program), way].map((one) => inspect(one, { depth: 20, breakLength: 120 }));
    const cause = (errorInstance as Error | undefined)?.message;
    return `program ${numRuns}: ${cause}\n${shown.join('\n')}\nREPLAY=${counterexamplePath} SEED=${seed}`;
  };
  assert.not(details.failed, details.failed ? told() : '');
  if (path === undefined) {
    assert.ok(all.begun > runs, `${all.begun} attempts at workers`);
    assert.ok(all.lost > 0 && all.controllers > runs, `${all.lost} lost, ${all.controllers} controllers`);
  }
});

test.run();
