import type { RunStatus } from '../../model/status.js';
import type { Definable } from '../../model/workflow.js';
import { memory } from '../../stores/memory.js';
import { literal } from '../marbles/literal.js';
import { drawTimeline } from '../marbles/timeline.js';
import { defaultInvariants } from './invariants.js';
import { type Invariant, type Legacy, ObservedRun, type Violation } from './observed-run.js';
import {
  type Crash,
  drawCrashes,
  drawPerturbation,
  type Perturbation,
  type PerturbationOdds,
  type Schedule,
} from './perturbation.js';
import type { TrialRunOptions } from './trial.js';

/** A workflow, or a function that makes a fresh one for each life: for bodies that keep something outside of it. */
export type Subject = Definable | (() => Definable);

/** How {@link explore} looks for trouble. */
export interface ExploreOptions extends Omit<TrialRunOptions, 'seed' | 'store' | 'runId' | 'durability'> {
  /** Ways to go that are tried. Default 500. */
  readonly schedules?: number;
  /** Seed of the first one; they count up. Default 1. */
  readonly seed?: number;
  /** What must hold beside {@link defaultInvariants}. */
  readonly invariants?: readonly Invariant[];
  /** Let processes die and others go on with what is in the log. Default true. */
  readonly crashes?: boolean;
  /** Processes die at one of so many first records of the log. Default: at any that one has written so far. */
  readonly records?: number;
  /** Share of attempts that are made to fail, 0 to 1. Default 0. */
  readonly failures?: number;
  /** Virtual time a life may take. Default `1000h`. */
  readonly until?: number | string;
  /** Called with each life as it is made, to drive it from outside: answer, cancel, change limits. */
  readonly onLife?: (observed: ObservedRun) => void;
}

/** What {@link explore} has seen when it found nothing. */
export interface Exploration {
  readonly schedules: number;
  /** Processes that died. */
  readonly crashes: number;
  /** Records of the log at which one died, each at least once. */
  readonly crashPoints: number;
  /** Most records one has written. */
  readonly records: number;
  /** Bodies called. */
  readonly attempts: number;
  /** How many ended how. */
  readonly statuses: Readonly<Partial<Record<RunStatus, number>>>;
}

/** A way to go that breaks an invariant, made as short as could be found. */
export class ExploreError extends Error {
  readonly violation: Violation;
  readonly schedule: Schedule;
  /** Number of the schedule that found it, from 1. */
  readonly found: number;

  constructor(violation: Violation, schedule: Schedule, found: number, text: string) {
    super(text);
    this.name = 'ExploreError';
    this.violation = violation;
    this.schedule = schedule;
    this.found = found;
  }
}

/** What came of one way to go. */
interface Played {
  readonly violation: Violation | undefined;
  readonly lives: readonly ObservedRun[];
  /** The way, with the twists that were used. */
  readonly schedule: Schedule;
  readonly attempts: number;
}

/**
 * Runs a workflow in many ways that could happen: attempts end later, in another order, twice, after they were stopped,
 * fail; the process dies at a commit and another one goes on. Whatever happens, invariants must hold.
 * @throws ExploreError with the shortest failing way it found, as a marble test to paste; WorkflowDefinitionError
 */
export async function explore(subject: Subject, options: ExploreOptions = {}): Promise<Exploration> {
  const { schedules = 500, seed: first = 1, crashes = true, failures = 0 } = options;
  const seen = {
    crashes: 0,
    attempts: 0,
    records: 0,
    points: new Set<number>(),
    statuses: new Map<RunStatus, number>(),
  };
  let turn = 0;
  for (let i = 0; i < schedules; i++) {
    const seed = first + i;
    const odds: PerturbationOdds = { failures, records: crashes ? (options.records ?? seen.records) : 0 };
    const deaths = drawCrashes(seed, turn, odds);
    if (deaths.length > 0) turn += 1;
    const way: Schedule = {
      seed,
      durability: seed % 2 === 0 ? 'group' : 'sync',
      latency: seed % 8 < 6 ? 0 : seed % 8,
      crashes: deaths,
    };
    const played = await play(subject, way, options, (attempt) => drawPerturbation(seed, attempt, odds));
    if (played.violation !== undefined) {
      const short = await shrink(subject, played, options);
      throw new ExploreError(short.violation as Violation, short.schedule, i + 1, told(short, i + 1));
    }
    for (const [n, life] of played.lives.entries()) {
      if (life.crashed) seen.points.add(way.crashes?.[n]?.record ?? 0);
      if (life.crashed) seen.crashes += 1;
      seen.records = Math.max(seen.records, life.records);
    }
    seen.attempts += played.attempts;
    const status = played.lives.at(-1)?.trialRun.result?.status;
    if (status !== undefined) seen.statuses.set(status, (seen.statuses.get(status) ?? 0) + 1);
  }
  return {
    schedules,
    crashes: seen.crashes,
    crashPoints: seen.points.size,
    records: seen.records,
    attempts: seen.attempts,
    statuses: Object.fromEntries(seen.statuses),
  };
}

/** Goes one way and says which invariant it breaks; undefined: none. What a pasted test calls. */
export async function playSchedule(
  subject: Subject,
  schedule: Schedule,
  options: ExploreOptions = {},
): Promise<Violation | undefined> {
  return (await play(subject, schedule, options)).violation;
}

async function play(
  subject: Subject,
  way: Schedule,
  options: ExploreOptions,
  draw: (attempt: string) => Perturbation = (attempt) => way.attempts?.[attempt] ?? {},
): Promise<Played> {
  const {
    schedules: _,
    seed: __,
    crashes: ___,
    failures: ____,
    records: _____,
    invariants = [],
    ...rest
  } = options;
  const { until = '1000h', onLife, ...trial } = rest;
  const used: Record<string, Perturbation> = {};
  let attempts = 0;
  const perturbationOf = (attempt: string): Perturbation => {
    const perturbation = draw(attempt);
    attempts += 1;
    if (Object.keys(perturbation).length > 0) used[attempt] = perturbation;
    return perturbation;
  };
  const lives: ObservedRun[] = [];
  const died: Crash[] = [];
  const legacy: Legacy = { store: memory(), planned: new Map(), parents: new Map() };
  let violation: Violation | undefined;
  for (let number = 1; violation === undefined; number++) {
    const crash = way.crashes?.[number - 1];
    const observed = new ObservedRun(made(subject), {
      number,
      trialRun: { ...trial, seed: way.seed },
      durability: way.durability ?? 'sync',
      latency: way.latency ?? 0,
      legacy,
      crash,
      until,
      invariants: [...defaultInvariants, ...invariants],
      perturbationOf,
    });
    lives.push(observed);
    onLife?.(observed);
    await observed.live();
    ({ violation } = observed);
    if (!observed.crashed) break;
    if (crash !== undefined) died.push(crash);
  }
  const { seed, durability, latency = 0 } = way;
  const base = { seed, ...(durability === 'group' && { durability }), ...(latency > 0 && { latency }) };
  const schedule = {
    ...base,
    ...(Object.keys(used).length > 0 && { attempts: used }),
    ...(died.length > 0 && { crashes: died }),
  };
  return { violation, lives, schedule, attempts };
}

/** Leaves out and makes smaller, one thing after the other, what is not needed to break the same invariant. */
async function shrink(subject: Subject, found: Played, options: ExploreOptions): Promise<Played> {
  let best = found;
  let budget = 400;
  const better = async (schedule: Schedule): Promise<boolean> => {
    if (budget-- <= 0) return false;
    const played = await play(subject, schedule, options);
    if (played.violation?.invariant !== found.violation?.invariant) return false;
    best = played;
    return true;
  };
  // The explicit way has to fail as the drawn one did.
  if (!(await better(found.schedule))) return found;
  for (let again = true; again && budget > 0; ) {
    again = false;
    for (const smaller of candidates(best.schedule))
      if (await better(smaller)) {
        again = true;
        break;
      }
  }
  return best;
}

function* candidates(schedule: Schedule): Generator<Schedule> {
  const { attempts = {}, crashes = [] } = schedule;
  if (crashes.length > 0) yield { ...schedule, crashes: [] };
  if (Object.keys(attempts).length > 1) yield { ...schedule, attempts: {} };
  const { durability: _, ...synced } = schedule;
  const { latency: __, ...quick } = schedule;
  if (schedule.durability !== undefined) yield synced;
  if (schedule.latency !== undefined) yield quick;
  for (let i = 0; i < crashes.length; i++) {
    yield { ...schedule, crashes: crashes.filter((_, at) => at !== i) };
    const { record, lost } = crashes[i] as Crash;
    const change = (crash: Crash): Schedule => ({
      ...schedule,
      crashes: crashes.map((one, at) => (at === i ? crash : one)),
    });
    if (lost === true) yield change({ record });
    if (record > 1) yield change({ ...(crashes[i] as Crash), record: record - 1 });
  }
  for (const [name, twist] of Object.entries(attempts)) {
    const { [name]: _, ...others } = attempts;
    yield { ...schedule, attempts: others };
    for (const key of Object.keys(twist) as (keyof Perturbation)[]) {
      const { [key]: value, ...less } = twist;
      yield { ...schedule, attempts: { ...others, [name]: less } };
      if (typeof value === 'number' && value > 1)
        yield { ...schedule, attempts: { ...others, [name]: { ...twist, [key]: Math.floor(value / 2) } } };
    }
  }
}

/** The failure for people, and as a marble test. */
function told({ violation, lives, schedule }: Played, found: number): string {
  const { invariant, message, at } = violation as Violation;
  const name = lives[0]?.settings.name ?? 'workflow';
  const picture = lives.flatMap((observed, i) => [
    `  // life ${i + 1}${observed.crashed ? ', dies' : ''}`,
    ...drawTimeline(observed.trialRun.timeline)
      .split('\n')
      .map((line) => `  //   ${line}`),
  ]);
  const test = [
    `test(${literal(`${name}: ${invariant}`)}, marbles(({ expectInvariants }) => {`,
    ...picture,
    `  expectInvariants(flow, ${literal(schedule)});`,
    '}));',
  ];
  return `schedule ${found} breaks "${invariant}" at ${at} ms: ${message}\n\n${test.join('\n')}\n`;
}

function made(subject: Subject): Definable {
  return typeof subject === 'function' ? subject() : subject;
}
