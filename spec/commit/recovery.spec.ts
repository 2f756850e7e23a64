import { inspect } from 'node:util';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  decidedFirst,
  decidedOrFailed,
  failedFirst,
  healedHandler,
  successFirst,
} from '../support/found-programs.js';
import { type Program, programs, type Unit } from '../support/random-program.js';
import {
  Broken,
  committedIn,
  differenceOf,
  isWithin,
  type LiveChange,
  type Lived,
  live,
} from '../support/random-recovery.js';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000);
const runs = Number(process.env.PROGRAMS ?? 300);
const path = process.env.REPLAY;

type Failure = fc.RunDetails<[Program, Fault]>;

/** What happens to a run: processes die, one after the other, and what the last one is given. */
interface Fault {
  /** After which write each process dies, taken modulo the writes there were. */
  readonly deaths: readonly number[];
  /** Or one after each write, each for itself. */
  readonly everywhere: boolean;
  readonly change: 'none' | 'edited' | 'drops' | 'rerun' | 'healed';
  /** Records that stay when the log is made shorter before the last one; undefined: it is not. */
  readonly keep: number | undefined;
  /** The last one is drained first. */
  readonly drain: { readonly after: number; readonly deadline: number | undefined } | undefined;
  /** What is changed while the last one runs. */
  readonly live: readonly LiveChange[];
  /** Which task. */
  readonly which: number;
}

const faults: fc.Arbitrary<Fault> = fc.record({
  deaths: fc.array(fc.nat(99), { minLength: 1, maxLength: 3 }),
  everywhere: fc.oneof(
    { weight: 5, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  ),
  change: fc.constantFrom<Fault['change']>(
    ...((process.env.CHANGES?.split(',') as Fault['change'][] | undefined) ?? [
      'none',
      'edited',
      'rerun',
      'healed',
    ]),
  ),
  which: fc.nat(99),
  keep: fc.option(fc.nat(3), { nil: undefined, freq: 2 }),
  drain: fc.option(
    fc.record({ after: fc.nat(40), deadline: fc.option(fc.nat(9), { nil: undefined, freq: 2 }) }),
    { nil: undefined, freq: 1 },
  ),
  live: fc.array(
    fc.record({
      after: fc.nat(40),
      what: fc.constantFrom('priority' as const, 'pause' as const, 'resource' as const),
      which: fc.nat(9),
      amount: fc.nat(9),
    }),
    { maxLength: 2 },
  ),
});

const everywhere: Fault = {
  deaths: [0],
  everywhere: true,
  change: 'none',
  keep: undefined,
  drain: undefined,
  live: [],
  which: 0,
};

/** What was found once. */
const found: readonly [Program, Fault][] = [
  [decidedFirst, everywhere],
  [decidedFirst, { ...everywhere, keep: 0 }],
  [successFirst, everywhere],
  [decidedOrFailed, everywhere],
  [failedFirst, everywhere],
  [healedHandler, { ...everywhere, change: 'healed' }],
];

async function check(given: Program, fault: Fault): Promise<void> {
  // What somebody has heard does not run again with who says it.
  const program = fault.change === 'healed' ? deaf(given) : given;
  const whole = await live(program, [], 0);
  const isEdited = fault.change === 'edited' || fault.change === 'drops';
  const change = {
    edited: isEdited ? editedOf(program, fault.which) : undefined,
    drops: fault.change === 'drops',
    healed: fault.change === 'healed',
  };
  const goal = isEdited || change.healed ? await live(program, [], 0, change) : whole;
  // What a task had added before it finished stays, whether or not it would be added now.
  const isOpen = (log: readonly string[]): boolean =>
    change.drops && !committedIn(log).has(change.edited ?? '');
  const goOn = async (log: readonly string[], number: number): Promise<Lived> => {
    const named = [...committedIn(log).keys()].filter((id) => !isWithin(id));
    const rerun =
      fault.change === 'rerun' && named.length > 0 ? [named[fault.which % named.length] as string] : [];
    const found = await live(program, log, number, {
      ...change,
      rerun,
      keep: fault.keep,
      drain: fault.drain,
      live: fault.live,
    });
    const wrong = isOpen(log) ? undefined : differenceOf(goal, found);
    if (wrong !== undefined) throw new Broken(`after ${log.length} records:\n${wrong}`);
    return found;
  };
  if (fault.everywhere) {
    for (const log of whole.seen) await goOn(log, 1);
    return;
  }
  let { seen } = whole;
  let log: readonly string[] = [];
  for (const [n, death] of fault.deaths.entries()) {
    log = seen.length === 0 ? log : (seen[death % seen.length] as readonly string[]);
    if (n < fault.deaths.length - 1) ({ seen } = await live(program, log, n + 1));
  }
  const last = await goOn(log, fault.deaths.length);
  if (isOpen(log)) return;
  // Once more: nothing is left to do.
  const again = await live(program, last.log, fault.deaths.length + 1, { ...change, healed: false });
  const wrong = differenceOf(last, again);
  if (wrong !== undefined) throw new Broken(`once more, with nothing left to do:\n${wrong}`);
  if (again.called.length > 0) throw new Broken(`a run that has ended calls ${again.called.join()}`);
}

function deafUnit(one: Unit): Unit {
  if (one.kind === 'nested') return { ...one, units: one.units.map(deafUnit) } as Unit;
  return one.kind === 'work' ? { ...one, hears: [] } : one;
}

function deaf(program: Program): Program {
  return { ...program, units: program.units.map(deafUnit) };
}

/** A task of the workflow, or the type of tasks that come back by their data. */
function editedOf({ units }: Program, which: number): string {
  const ids = ['typed', ...units.map((_, i) => `t${i}`)];
  return ids[which % ids.length] as string;
}

/** A program as a person reads it: what is empty, 0 or false is left out. */
function short(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(short);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(
    ([, one]) =>
      !(one === undefined || one === false || one === 0 || (Array.isArray(one) && one.length === 0)),
  );
  return Object.fromEntries(entries.map(([key, one]) => [key, short(one)]));
}

function told({ counterexample, counterexamplePath, errorInstance, numRuns }: Failure): string {
  const cause = (errorInstance as Error | undefined)?.message;
  const [program, fault] = (counterexample ?? []).map((one) =>
    inspect(short(one), { depth: 20, breakLength: 120 }),
  );
  return `program ${numRuns}: ${cause}\n${program}\n${fault}\nREPLAY=${counterexamplePath} SEED=${seed}`;
}

for (const [i, [program, fault]] of found.entries())
  test(`program ${i} that was found once goes on to the end of an undisturbed one`, () =>
    check(program, fault));

test(`${runs} random programs that die anywhere go on to the end of an undisturbed one (seed ${seed})`, async () => {
  const details = await fc.check(fc.asyncProperty(programs, faults, check), {
    numRuns: runs,
    seed,
    ...(path !== undefined && { path }),
  });
  assert.not(details.failed, details.failed ? told(details as Failure) : '');
});

test.run();
