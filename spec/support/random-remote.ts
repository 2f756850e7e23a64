import { WorkerLostError } from '../../lib/entry/agents.js';
import type { Run, WorkflowResult } from '../../lib/index.js';
import { advance, type FakeRemoteOptions, fakeRemote, SimulationScheduler } from '../../lib/testing/index.js';
import {
  type Adds,
  type Body,
  define,
  type Program,
  type State,
  type Unit,
  type Work,
} from './random-program.js';
import { Broken, type Lived, NotingStore, outcomeOf, Process, runId } from './random-recovery.js';

/** The way to the workers, and who dies. */
export interface Way extends Omit<FakeRemoteOptions, 'agents' | 'scheduler'> {
  /** Workers that are killed, and when. */
  readonly kills: readonly { readonly at: number; readonly worker: number }[];
  /** Writes of each controller behind which it dies, all but the last one's. */
  readonly deaths: readonly number[];
  /** Ms until the next one takes over. */
  readonly pause: number;
}

/** What came of a program whose bodies ran elsewhere. */
export interface LivedElsewhere extends Lived {
  /** Attempts that workers have begun, as `task#attempt`. */
  readonly begun: readonly string[];
  /** Tasks of which an attempt was not needed any more: its order may be on its way, and a later controller may begin it anew. */
  readonly withdrawn: ReadonlySet<string>;
  /** Attempts that were lost with their workers. */
  readonly lost: number;
  /** Controllers there were. */
  readonly controllers: number;
}

/** Ms after which a run goes on for ever: a way takes seconds. */
const mostTime = 600_000;

/**
 * Runs a program with its bodies at workers, over controllers that die, to its end.
 * @throws Broken where what has finished is called again, lost, or where nothing ends
 */
export async function liveElsewhere(program: Program, way: Way): Promise<LivedElsewhere> {
  const scheduler = new SimulationScheduler();
  const agents: Record<string, Body> = {};
  const { kills, deaths, pause, ...how } = way;
  const remote = fakeRemote({ agents, scheduler, ...how });
  for (const { at, worker } of kills) scheduler.schedule(() => remote.kill(worker), at);
  const called: string[] = [];
  const seen: (readonly string[])[] = [];
  const withdrawn = new Set<string>();
  let lost = 0;
  let controllers = 0;
  let last: { readonly run: Run; readonly store: NotingStore; readonly process: Process } | undefined;
  let end: WorkflowResult | undefined;
  let failure: unknown;
  const begin = (bodies: readonly string[]): void => {
    const own = controllers === 0 ? remote : remote.beside();
    const mostWrites = deaths[controllers] ?? Number.POSITIVE_INFINITY;
    controllers += 1;
    const store = new NotingStore(bodies, scheduler, program.latency, {
      writes: mostWrites,
      dies: () => {
        own.crash();
        scheduler.schedule(() => begin(store.bodies()), pause);
      },
    });
    const process = new Process(() => store.bodies());
    const { flow, outside } = define(program, {
      edited: undefined,
      drops: false,
      healed: false,
      later: (ms) => new Promise((done) => void scheduler.schedule(() => done(), ms)),
      called: (id, replays) => {
        if (store.isDead) return;
        // Its order may be on its way still.
        if (!withdrawn.has(id)) process.called(id, replays);
        if (!replays) called.push(id);
      },
      compensated: () => undefined,
      elsewhere: (name, body) => {
        agents[name] = body;
        return own.agent(name);
      },
    });
    const run = flow.run({
      store,
      runId,
      scheduler,
      durability: program.durability,
      seed: controllers,
      ...(program.keep !== undefined && { compact: { keep: program.keep } }),
    }) as unknown as Run;
    outside(run as unknown as Adds);
    process.watch(run);
    run.events$.subscribe({
      next: (event) => {
        if (event.type !== 'attempt') return;
        if (event.hedge === true || event.reason === 'stopped') withdrawn.add(event.taskId);
        if (event.error instanceof WorkerLostError) lost += 1;
      },
      error: () => undefined,
    });
    last = { run, store, process };
    run.result().then(
      (result) => {
        if (!store.isDead) end = result as WorkflowResult;
      },
      (error: unknown) => {
        if (!store.isDead) failure = error ?? new Error('the run could not start');
      },
    );
  };
  begin([]);
  await advance(scheduler, mostTime);
  const { run, store, process } = last as NonNullable<typeof last>;
  if (failure !== undefined) throw new Broken(`the run fails: ${String((failure as Error).stack)}`);
  if (end === undefined) {
    const open = [...run.snapshot().tasks].filter(([, status]) => !ends.has(status));
    throw new Broken(`nothing happens any more, but: ${open.map(([id]) => run.explain(id)).join(' ')}`);
  }
  process.check(end);
  const outcome = outcomeOf(end as WorkflowResult<State>);
  return {
    outcome,
    seen,
    log: store.bodies(),
    called,
    compensated: [],
    begun: [...remote.begun],
    withdrawn,
    lost,
    controllers,
  };
}

const ends = new Set(['succeeded', 'failed', 'skipped', 'cancelled', 'restored']);

/** The program without what a body needs its controller for, but for every third, and without questions. */
export function portable(program: Program): Program {
  let count = 0;
  const work = <W extends Work>(one: W): W => {
    count += 1;
    if (count % 3 === 0) return { ...one, asks: false, children: one.children.map(work) };
    const decides = one.decides === 'skips' ? 'nothing' : one.decides;
    return {
      ...one,
      decides,
      asks: false,
      waits: 'working',
      writes: [],
      serializable: false,
      says: 0,
      children: [],
    };
  };
  const unit = (one: Unit): Unit => {
    switch (one.kind) {
      case 'work': {
        count += 1;
        const hears = count % 3 === 0 ? one.hears : [];
        return { ...one, work: work(one.work), hears, handler: one.handler.map(work), compensates: false };
      }
      case 'each':
        return { ...one, items: one.items.map(work) };
      case 'loop':
        return { ...one, turns: one.turns.map(work) };
      case 'nested':
        return { ...one, units: one.units.map(unit) };
      default:
        return one;
    }
  };
  return { ...program, units: program.units.map(unit), outside: program.outside.map(work) };
}
