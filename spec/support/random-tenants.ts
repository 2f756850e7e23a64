import fc from 'fast-check';
import { timer } from 'rxjs';
import { type Controller, controller, type Run, workflow } from '../../lib/index.js';
import { SimulationScheduler } from '../../lib/testing/index.js';

/** One task: when nothing is said it is in no group and takes a ms. */
interface RandomTask {
  readonly priority: number;
  readonly group: boolean;
  readonly ms: number;
  readonly gpu: number;
  /** Its body adds a task to the next run. */
  readonly adds: boolean;
}

interface RandomRun {
  readonly at: number;
  readonly priority: number;
  readonly tenant: number;
  readonly own: number | undefined;
  readonly tasks: readonly RandomTask[];
}

interface RandomAction {
  readonly at: number;
  readonly kind: 'limit' | 'group' | 'cancel' | 'pause' | 'resume' | 'own';
  readonly to: number;
}

/** Runs of several tenants under one controller, and what is done to them. */
export interface Tenants {
  readonly limit: number;
  readonly groupLimit: number;
  readonly fair: boolean;
  readonly policy: 'fifo' | 'critical-path';
  readonly runs: readonly RandomRun[];
  readonly actions: readonly RandomAction[];
}

const task = fc.record({
  priority: fc.integer({ min: -1, max: 1 }),
  group: fc.boolean(),
  ms: fc.integer({ min: 0, max: 4 }),
  gpu: fc.integer({ min: 0, max: 2 }),
  adds: fc.boolean(),
});

export const tenants: fc.Arbitrary<Tenants> = fc.record({
  limit: fc.integer({ min: 1, max: 4 }),
  groupLimit: fc.integer({ min: 1, max: 3 }),
  fair: fc.boolean(),
  policy: fc.constantFrom('fifo' as const, 'critical-path' as const),
  runs: fc.array(
    fc.record({
      at: fc.integer({ min: 0, max: 6 }),
      priority: fc.integer({ min: -1, max: 1 }),
      tenant: fc.integer({ min: 0, max: 2 }),
      own: fc.option(fc.integer({ min: 1, max: 2 }), { nil: undefined }),
      tasks: fc.array(task, { minLength: 1, maxLength: 6 }),
    }),
    { minLength: 1, maxLength: 5 },
  ),
  actions: fc.array(
    fc.record({
      at: fc.integer({ min: 0, max: 12 }),
      kind: fc.constantFrom(...(['limit', 'group', 'cancel', 'pause', 'resume', 'own'] as const)),
      to: fc.integer({ min: 1, max: 4 }),
    }),
    { maxLength: 4 },
  ),
});

/** A task as the model knows it. */
interface Known {
  readonly run: number;
  readonly seq: number;
  readonly spec: RandomTask;
  status: string;
  /** When it became ready, counted in tasks that did. */
  arrival: number;
}

/** Resources and groups park lanes, which then count as idle: shares are held to the model without them. */
function plainOf(spec: Tenants): Tenants {
  if (!spec.fair) return spec;
  const simple = (one: RandomTask): RandomTask => ({ ...one, group: false, gpu: 0 });
  return {
    ...spec,
    runs: spec.runs.map((run) => ({ ...run, own: undefined, tasks: run.tasks.map(simple) })),
    actions: spec.actions.filter(({ kind }) => kind === 'limit'),
  };
}

/** Plays it in virtual time and holds each start to a model that looks at all tasks; returns what was wrong. */
export function playTenants(given: Tenants): string[] {
  const spec = plainOf(given);
  const scheduler = new SimulationScheduler();
  const wrong: string[] = [];
  const hive: Controller<'llm', 'gpu'> = controller({
    scheduler,
    concurrency: spec.limit,
    groups: { llm: { concurrency: spec.groupLimit } },
    resources: { gpu: 2 },
    aging: false,
    policy: spec.policy,
    weights: { '1': 2 },
    ...(spec.fair && { fair: ({ tags }) => tags.tenant as string }),
  });
  const model = new Model(spec, wrong);
  hive.events$.subscribe((event) => {
    if (event.type !== 'task') return;
    const known = model.tasks.get(`${event.runId}/${event.taskId}`);
    if (known !== undefined) model.told(known, event.reason);
  });
  const runs: Run[] = [];
  const define = (at: number): void => {
    const { own: wanted, priority, tenant, tasks } = spec.runs[at] as RandomRun;
    // More than the controller has would be a fault.
    const own = wanted === undefined ? undefined : Math.min(wanted, model.limit);
    const flow = workflow({
      name: `w${at}`,
      controller: hive,
      ...(own !== undefined && { concurrency: own }),
    });
    const order = model.made++;
    let seq = 0;
    const options = (one: RandomTask) => ({
      priority: one.priority,
      ...(one.group && { group: 'llm' as const }),
      ...(one.gpu > 0 && { resources: { gpu: one.gpu } }),
      run: () => {
        const next = runs[(order + 1) % runs.length];
        if (one.adds && next !== undefined) adders.get(next)?.({ ...one, adds: false });
        return one.ms === 0 ? 0 : timer(one.ms, scheduler);
      },
    });
    const note = (one: RandomTask): string => {
      const id = `t${seq}`;
      model.tasks.set(`r${at}/${id}`, { run: order, seq: seq++, spec: one, status: 'waiting', arrival: -1 });
      return id;
    };
    model.runs[order] = { priority, own: own ?? Number.POSITIVE_INFINITY, tenant: String(tenant) };
    for (const one of tasks) flow.task(note(one), options(one));
    const run = flow.run({ runId: `r${at}`, priority, tags: { tenant: String(tenant) } });
    runs[order] = run;
    adders.set(run, (one) => {
      if (!ended.has(run)) run.task(note(one), options(one));
    });
    void run.result().then((result) => {
      if (result.status === 'failed') wrong.push(`${run.runId} failed: ${String(result.error)}`);
    });
    run.events$.subscribe({ complete: () => ended.add(run) });
    run.events$.subscribe((event) => event.type === 'run' && event.reason === 'ended' && ended.add(run));
  };
  const adders = new Map<Run, (one: RandomTask) => void>();
  const ended = new Set<Run>();
  spec.runs.forEach(({ at }, i) => void scheduler.schedule(() => define(i), at));
  for (const { at, kind, to } of spec.actions)
    scheduler.schedule(() => {
      const run = runs[to % Math.max(1, runs.length)];
      // The model first: what may start then starts at once.
      if (kind === 'limit') {
        model.limit = to;
        hive.setConcurrency(to);
      } else if (kind === 'group') {
        model.group = to;
        hive.setGroupConcurrency('llm', to);
      } else if (kind === 'pause') {
        hive.pause();
        model.paused = true;
      } else if (kind === 'resume') {
        model.paused = false;
        hive.resume();
      } else if (run === undefined || ended.has(run)) return;
      else if (kind === 'cancel') {
        ended.add(run);
        run.cancel();
      } else {
        const mine = model.runs[to % runs.length];
        if (mine !== undefined) mine.own = to;
        run.setConcurrency(to);
      }
    }, at);
  scheduler.schedule(() => {
    model.paused = false;
    hive.resume();
  }, 1_000);
  scheduler.flush();
  for (const [id, { status }] of model.tasks)
    if (!['succeeded', 'cancelled'].includes(status)) wrong.push(`${id} is ${status} at the end`);
  for (const { active } of hive.limits()) if (active !== 0) wrong.push(`${active} slots were not given back`);
  return wrong;
}

class Model {
  readonly tasks = new Map<string, Known>();
  readonly runs: { readonly priority: number; own: number; readonly tenant: string }[] = [];
  made = 0;
  limit: number;
  group: number;
  paused = false;
  #arrivals = 0;
  readonly #spec: Tenants;
  readonly #wrong: string[];
  /** Virtual times of tenants. */
  readonly #start = new Map<string, number>();
  #now = 0;

  constructor(spec: Tenants, wrong: string[]) {
    this.#spec = spec;
    this.limit = spec.limit;
    this.group = spec.groupLimit;
    this.#wrong = wrong;
  }

  told(known: Known, status: string): void {
    if (status === 'ready') {
      known.arrival = this.#arrivals++;
      const tenant = this.#tenantOf(known);
      const idle = !this.#with('ready').some((one) => this.#tenantOf(one) === tenant);
      if (idle) this.#start.set(tenant, Math.max(this.#start.get(tenant) ?? 0, this.#now));
    }
    if (status === 'running') this.#check(known);
    known.status = status;
    if (status !== 'running') return;
    const tenant = this.#tenantOf(known);
    this.#now = Math.max(this.#now, this.#start.get(tenant) ?? 0);
    this.#start.set(tenant, this.#now + (tenant === '1' ? 1 / 2 : 1));
  }

  #check(started: Known): void {
    const name = `task ${started.seq} of run ${started.run}`;
    if (!this.#mayStart(started)) this.#wrong.push(`${name} started beyond a limit`);
    if (started.spec.gpu > 0) return;
    for (const other of this.#with('ready'))
      if (other !== started && other.spec.gpu === 0 && this.#mayStart(other) && this.#before(other, started))
        this.#wrong.push(`${name} started before task ${other.seq} of run ${other.run}`);
  }

  #mayStart({ run, spec }: Known): boolean {
    const running = this.#with('running');
    const count = (which: (one: Known) => boolean): number => running.filter(which).length;
    const gpus = running.reduce((sum, one) => sum + one.spec.gpu, 0);
    return (
      !this.paused &&
      running.length < this.limit &&
      count((one) => one.run === run) < (this.runs[run]?.own ?? 0) &&
      (!spec.group || count((one) => one.spec.group) < this.group) &&
      gpus + spec.gpu <= 2
    );
  }

  #before(a: Known, b: Known): boolean {
    const weight = ({ run, spec }: Known): number => (this.runs[run]?.priority ?? 0) + spec.priority;
    if (weight(a) !== weight(b)) return weight(a) > weight(b);
    if (this.#spec.fair && this.#tenantOf(a) !== this.#tenantOf(b)) {
      const [one = 0, other = 0] = [a, b].map((task) => this.#start.get(this.#tenantOf(task)));
      if (one !== other) return one < other;
    }
    if (this.#spec.policy === 'fifo') return a.arrival < b.arrival;
    return a.run === b.run ? a.seq < b.seq : a.run < b.run;
  }

  #tenantOf({ run }: Known): string {
    return this.runs[run]?.tenant ?? '';
  }

  #with(status: string): Known[] {
    return [...this.tasks.values()].filter((one) => one.status === status);
  }
}
