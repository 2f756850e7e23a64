import { isDeepStrictEqual } from 'node:util';
import type { LogRecord } from '../../lib/entry/records.js';
import type { LogEntry, RunLog } from '../../lib/entry/stores.js';
import {
  type CheckpointStore,
  type Collection,
  memory,
  type Run,
  type WorkflowEvent,
  type WorkflowResult,
} from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';
import {
  type Adds,
  answerTo,
  define,
  type Program,
  type State,
  units,
  type World,
} from './random-program.js';
import { StatusMoves } from './status-moves.js';

export const runId = 'random';

/** A process that dies behind so many writes. */
export interface Death {
  readonly writes: number;
  dies(): void;
}

/** A store that notes what its log was after each write: what a process that dies there would leave. */
export class NotingStore implements CheckpointStore {
  readonly seen: string[][] = [];
  readonly #store = memory();
  readonly #scheduler: SimulationScheduler;
  readonly #latency: number;
  readonly #death: Death | undefined;

  constructor(bodies: readonly string[], scheduler: SimulationScheduler, latency: number, death?: Death) {
    this.#scheduler = scheduler;
    this.#latency = latency;
    this.#death = death;
    const log = this.#store.open(runId);
    log.append(bodies.map((body, i) => ({ seq: i + 1, body })));
    log.close();
  }

  /** Its process has died: nothing is written any more, and nobody is told. */
  get isDead(): boolean {
    return this.#death !== undefined && this.seen.length >= this.#death.writes;
  }

  open(id: string): RunLog {
    const log = this.#store.open(id);
    const write = (change: () => void): void => {
      if (this.isDead) return;
      change();
      if (id !== runId) return;
      this.seen.push(this.bodies(id));
      if (this.isDead) this.#death?.dies();
    };
    return {
      entries: log.entries,
      append: (entries) =>
        this.#soon(() => {
          for (const entry of entries) write(() => log.append([entry]));
        }),
      replace: (entries: readonly LogEntry[], gone) =>
        this.#soon(() => write(() => log.replace(entries, gone))),
      close: () => log.close(),
    };
  }

  bodies(id = runId): string[] {
    return this.#store.read(id).map(({ body }) => body);
  }

  read(id: string): readonly LogEntry[] {
    return this.#store.read(id);
  }

  runs(): ReturnType<CheckpointStore['runs']> {
    return this.#store.runs();
  }

  remove(id: string): void {
    this.#store.remove(id);
  }

  get(key: string): string | undefined {
    return this.#store.get(key);
  }

  put(key: string, text: string, id?: string): void {
    this.#store.put(key, text, id);
  }

  #soon(work: () => void): Promise<void> | undefined {
    if (this.#latency === 0) {
      work();
      return this.isDead ? new Promise(() => undefined) : undefined;
    }
    return new Promise((done) => {
      this.#scheduler.schedule(() => {
        work();
        if (!this.isDead) done();
      }, this.#latency);
    });
  }
}

/** Something that is changed while a process runs. */
export interface LiveChange {
  readonly after: number;
  /** A task is given another priority; nothing begins for some ms; there is less of what tasks take for some ms. */
  readonly what: 'priority' | 'pause' | 'resource';
  readonly which: number;
  readonly amount: number;
}

/** How a process goes on. */
export interface GoingOn {
  /** What is changed while its first process runs. */
  readonly live?: readonly LiveChange[];
  readonly edited?: string | undefined;
  /** The edited task adds one task less. */
  readonly drops?: boolean;
  readonly rerun?: readonly string[];
  /** What always failed does not any more, and is to be tried again. */
  readonly healed?: boolean;
  /** Records that stay when the log is made shorter before; undefined: it is not. */
  readonly keep?: number | undefined;
  /** Its first process is drained: after so many ms, and so long does what runs have then. */
  readonly drain?: { readonly after: number; readonly deadline: number | undefined } | undefined;
}

/** How a run ended, without what tells in which order and which of several won. */
export interface Outcome {
  readonly status: string;
  readonly state: unknown;
  readonly tasks: Readonly<Record<string, { readonly status: string; readonly value: unknown }>>;
}

/** What came of one process, or of several that waited for people between. */
export interface Lived {
  readonly outcome: Outcome;
  /** The log after each write. */
  readonly seen: readonly (readonly string[])[];
  readonly log: readonly string[];
  /** Ids of the bodies called, replays left out. */
  readonly called: readonly string[];
  readonly compensated: readonly string[];
}

/** Something that must not happen; the message says what. */
export class Broken extends Error {}

/**
 * Runs a program to its end, from a log or from the beginning, people answering all they are asked.
 * @throws Broken where what has finished is called again, lost, or dropped without a word, or where nothing ends
 */
export async function live(
  program: Program,
  bodies: readonly string[],
  number: number,
  { edited, drops = false, rerun = [], healed = false, keep, drain, live: changes = [] }: GoingOn = {},
): Promise<Lived> {
  const change = { edited, drops, healed };
  const scheduler = new SimulationScheduler();
  scheduler.run(number * 10_000);
  const later = (ms: number): Promise<void> =>
    new Promise((done) => void scheduler.schedule(() => done(), ms));
  const log = keep === undefined ? bodies : await shortened(program, bodies, keep);
  const store = new NotingStore(log, scheduler, program.latency);
  const all: string[] = [];
  let asked: readonly string[] = [];
  for (let round = 0; round < 40; round++) {
    const process = new Process(() => store.bodies());
    const world: World = {
      ...change,
      later,
      called: (id, replays) => process.called(id, replays),
      compensated: () => undefined,
    };
    const { flow, outside } = define(program, world);
    const run = flow.run({
      store,
      runId,
      scheduler,
      durability: program.durability,
      suspend: program.people,
      seed: number,
      ...(program.keep !== undefined && { compact: { keep: program.keep } }),
      ...(round === 0 && rerun.length > 0 && { rerun }),
      ...(round === 0 && healed && bodies.length > 0 && { retry: 'failed' as const }),
    });
    // Closures from outside come again with each process; those with data are there already.
    outside(run as unknown as Adds);
    process.watch(run as unknown as Run);
    if (round === 0 && drain !== undefined) {
      const { after, deadline } = drain;
      scheduler.schedule(() => void run.drain(deadline === undefined ? {} : { deadline }), after);
    }
    for (const one of round === 0 ? changes : [])
      scheduler.schedule(() => changeLive(one, run as unknown as Run, program, scheduler), one.after);
    for (const id of asked) run.answer(id, answerTo(id)).catch(() => undefined);
    const result = await ended(run as unknown as Run, scheduler);
    process.check(result);
    all.push(...process.bodies);
    if (round === 0)
      for (const id of rerun)
        if (!process.again.has(id)) throw new Broken(`${id} was to run again, and was not announced`);
    asked = result.questions.map(({ id }) => id);
    if (result.status === 'suspended') continue;
    const outcome = outcomeOf(result as WorkflowResult<State>);
    const compensated = await compensate(program, store, scheduler, change);
    return { outcome, seen: store.seen, log: store.bodies(), called: all, compensated };
  }
  throw new Broken('the run is suspended again and again');
}

function changeLive(
  { what, which, amount }: LiveChange,
  run: Run,
  program: Program,
  scheduler: SimulationScheduler,
): void {
  if (what === 'priority') run.setPriority(`t${which % program.units.length}`, amount - 5);
  else if (what === 'pause') {
    run.pause();
    scheduler.schedule(() => run.resume(), amount);
  } else {
    run.setResource('unit', units - 1);
    scheduler.schedule(() => run.setResource('unit', units), amount);
  }
}

/** The log as `flow.compact` leaves it. */
async function shortened(
  program: Program,
  bodies: readonly string[],
  keep: number,
): Promise<readonly string[]> {
  if (bodies.length === 0) return bodies;
  const store = new NotingStore(bodies, new SimulationScheduler(), 0);
  const { flow } = define(program, {
    edited: undefined,
    drops: false,
    healed: false,
    later: () => Promise.resolve(),
    called: () => undefined,
    compensated: () => undefined,
  });
  await flow.compact(store, runId, { keep });
  return store.bodies();
}

async function ended(run: Run, scheduler: SimulationScheduler): Promise<WorkflowResult> {
  let result: WorkflowResult | undefined;
  let failure: unknown;
  const answered = new Set<string>();
  // A process that waits is answered as soon as it asks; one that has ended as it begins again.
  const answer = (): boolean => {
    const open = run.questions().filter(({ id }) => !answered.has(id));
    for (const { id } of open) {
      answered.add(id);
      run.answer(id, answerTo(id)).catch(() => undefined);
    }
    return open.length > 0;
  };
  run.result().then(
    (one) => {
      result = one as WorkflowResult;
    },
    (error: unknown) => {
      failure = error ?? new Error('the run could not start');
    },
  );
  for (let more = true; more; ) {
    await advance(scheduler);
    more = result === undefined && failure === undefined && answer();
  }
  if (failure !== undefined) throw new Broken(`the run fails: ${String((failure as Error).stack)}`);
  if (result === undefined) {
    const open = [...run.snapshot().tasks].filter(([, status]) => !ends.has(status));
    throw new Broken(`nothing happens any more, but: ${open.map(([id]) => run.explain(id)).join(' ')}`);
  }
  return result;
}

const ends = new Set(['succeeded', 'failed', 'skipped', 'cancelled', 'restored']);

/** Watches one process for what must not happen. */
export class Process {
  readonly bodies: string[] = [];
  /** Tasks that were announced to run again. */
  readonly again = new Map<string, string>();
  readonly #missing = new Set<string>();
  readonly #restored = new Set<string>();
  readonly #committed: ReadonlyMap<string, LogRecord>;
  readonly #decided: ReadonlySet<string>;
  readonly #succeeded = new Set<string>();
  readonly #wrong: string[] = [];
  readonly #moves = new StatusMoves();
  readonly #log: () => readonly string[];

  constructor(log: () => readonly string[]) {
    this.#log = log;
    this.#committed = committedIn(log());
    this.#decided = decidedIn(log());
  }

  watch(run: Run): void {
    run.events$.subscribe({ next: (event) => this.#see(event), error: () => undefined });
  }

  called(id: string, replays: boolean): void {
    if (replays) return;
    this.bodies.push(id);
    if (this.#committed.has(id) && !this.again.has(id)) {
      // Who is added again by a task that had not finished is compared then: the log says that it runs again.
      if (committedIn(this.#log()).has(id))
        this.#wrong.push(`the body of ${id} is called although its result is in the log`);
      else this.again.set(id, 'the log says so');
    }
    if (this.#decided.has(id) && !this.again.has(id) && decidedIn(this.#log()).has(id))
      this.#wrong.push(`${id} is asked again, although the log says that it does not run`);
    if (this.#succeeded.has(id)) this.#wrong.push(`the body of ${id} is called after it has succeeded`);
  }

  #see(event: WorkflowEvent): void {
    this.#moves.see(event);
    if (event.type === 'run') {
      for (const { taskId, because } of event.rerun ?? []) this.again.set(taskId, because);
      for (const id of event.missing ?? []) this.#missing.add(id);
    } else if (event.type === 'task' && event.reason === 'restored') this.#restored.add(event.taskId);
    else if (event.type === 'task' && event.reason === 'succeeded') this.#succeeded.add(event.taskId);
  }

  check(result: WorkflowResult): void {
    this.#wrong.push(...this.#moves.wrong);
    const now = committedIn(this.#log());
    for (const id of this.#committed.keys()) {
      const restored = this.#restored.has(id) || result.tasks.get(id)?.status === 'restored';
      if (restored || this.again.has(id) || this.#missing.has(id) || isWithin(id)) continue;
      const status = result.tasks.get(id)?.status ?? 'gone';
      // Who adds it waits for people, and adds it again later.
      if (status === 'gone' && result.status === 'suspended') continue;
      this.#wrong.push(`the result of ${id} was in the log, now it is ${status}, and nothing was said`);
    }
    for (const [id, { status }] of result.tasks)
      if (status === 'succeeded' && !now.has(id)) this.#wrong.push(`${id} succeeded, and is not in the log`);
    if (this.#wrong.length > 0) throw new Broken(this.#wrong.join('\n'));
  }
}

/** Commits of a log that hold. */
export function committedIn(log: readonly string[]): Map<string, LogRecord> {
  const found = new Map<string, LogRecord>();
  for (const body of log) {
    if (!/^\{"kind":"(commit|dropped)"/.test(body)) continue;
    const record = JSON.parse(body) as LogRecord;
    if (record.kind === 'commit') found.set(record.task, record);
    else if (record.kind === 'dropped') for (const id of record.tasks) found.delete(id);
  }
  return found;
}

/** Tasks of a log that were skipped by a decision that holds. */
function decidedIn(log: readonly string[]): Set<string> {
  const found = new Set<string>();
  for (const body of log) {
    if (!/^\{"kind":"(commit|failed|dropped)"/.test(body)) continue;
    const record = JSON.parse(body) as LogRecord;
    if (record.kind === 'failed' && record.reason === 'condition') found.add(record.task);
    else if (record.kind === 'failed' || record.kind === 'commit') found.delete(record.task);
    else if (record.kind === 'dropped') for (const id of record.tasks) found.delete(id);
  }
  return found;
}

/** An item or a candidate: what becomes of it is told by the task it is of. */
export function isWithin(id: string): boolean {
  return /\/[^.]+$/.test(id);
}

/** Which one wins depends on when the process died: all are equal. */
function isOneOfMany(id: string): boolean {
  return /~\d+(\.\d+)?$/.test(id);
}

export function outcomeOf(result: WorkflowResult<State>): Outcome {
  const tasks: Record<string, { status: string; value: unknown }> = {};
  for (const [id, { status }] of [...result.tasks].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (isWithin(id) || isOneOfMany(id)) continue;
    const value = plain(result.results.get(id));
    tasks[id] = { status: status === 'restored' ? 'succeeded' : status, value };
  }
  return {
    status: result.status,
    state: inNoOrder(result.state as never),
    tasks,
  };
}

/** What parallel tasks leave, also in nested workflows. */
function inNoOrder({ sum, list, own, all, ...nested }: State & Record<string, unknown>): unknown {
  const within = Object.entries(nested).map(([id, one]) => [id, inNoOrder(one as never)] as const);
  return {
    ...{ sum, list: [...list].sort(), own: sorted(own), all: pairsOf(all) },
    within: Object.fromEntries(within.sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

/** Results of `flow.each`, also in those of nested workflows, without the errors: items fail in any order. */
function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return value;
  const { failures, last, ...rest } = value as Record<string, unknown>;
  const kept = failures === undefined ? value : rest;
  return Object.fromEntries(Object.entries(kept).map(([key, one]) => [key, plain(one)]));
}

function sorted(record: Readonly<Record<string, unknown>>): unknown {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}

function pairsOf(all: Collection<string>): unknown {
  return [...all].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** What is taken back, in no order. */
async function compensate(
  program: Program,
  store: NotingStore,
  scheduler: SimulationScheduler,
  change: Pick<World, 'edited' | 'drops' | 'healed'>,
): Promise<readonly string[]> {
  if (!program.units.some((one) => one.kind === 'work' && one.compensates)) return [];
  const back: string[] = [];
  const { flow } = define(program, {
    ...change,
    later: () => Promise.resolve(),
    called: () => undefined,
    compensated: (id, value) => back.push(`${id} ${String(value)}`),
  });
  const run = await flow.compensate(store, runId, { scheduler });
  await ended(run as unknown as Run, scheduler);
  return back.sort();
}

/** What differs from how an undisturbed run ends; undefined: nothing. */
export function differenceOf(undisturbed: Lived, found: Lived): string | undefined {
  const [a, b] = [undisturbed.outcome, found.outcome];
  const lines: string[] = [];
  if (a.status !== b.status) lines.push(`status ${b.status}, undisturbed ${a.status}`);
  for (const id of new Set([...Object.keys(a.tasks), ...Object.keys(b.tasks)])) {
    const [was, is] = [a.tasks[id], b.tasks[id]].map((one) =>
      one === undefined ? 'gone' : `${one.status} ${JSON.stringify(one.value)}`,
    );
    if (was !== is) lines.push(`${id} ${is}, undisturbed ${was}`);
  }
  if (!isDeepStrictEqual(a.state, b.state))
    lines.push(`state ${JSON.stringify(b.state)}, undisturbed ${JSON.stringify(a.state)}`);
  if (!isDeepStrictEqual(undisturbed.compensated, found.compensated))
    lines.push(`took back ${found.compensated.join()}, undisturbed ${undisturbed.compensated.join()}`);
  return lines.length === 0 ? undefined : lines.join('\n');
}
