import { Observable, type Subscriber } from 'rxjs';
import { WorkflowDefinitionError } from '../kernel/errors.js';
import { SimulationScheduler } from '../kernel/simulation-scheduler.js';
import { Task } from '../model/dependency.js';
import type { SchedulingPolicy } from '../model/workflow.js';
import { type Workflow, workflow } from '../workflow.js';
import { command } from './command.js';
import { flag, oneOf, text, wholeNumber } from './option.js';
import { readEstimates, readWorkload, type Workload } from './workload.js';
import { WrongCall } from './wrong-call.js';

/** How a workload is to be run. */
export interface Setting {
  readonly slots: number;
  readonly policy: SchedulingPolicy;
  /** Expected seconds by id or type, to rank by; without them exact durations are used. */
  readonly estimates?: ReadonlyMap<string, number>;
}

/** What a simulation comes to; `wallMs` is what it took in real time. */
export interface Simulated {
  readonly name: string;
  readonly tasks: number;
  readonly slots: number;
  readonly policy: SchedulingPolicy;
  readonly makespanSeconds: number;
  /** No schedule can be shorter: the longest path, and the work over the slots and over each capacity. */
  readonly lowerBoundSeconds: number;
  readonly criticalPathSeconds: number;
  readonly wallMs: number;
}

/** `rxhive simulate WORKLOAD.json --slots N` */
export const simulate = command({
  name: 'simulate',
  help: 'runs a graph of durations in virtual time',
  words: [{ name: 'WORKLOAD', missing: 'give one workload: rxhive simulate WORKLOAD.json --slots N' }],
  options: {
    slots: wholeNumber('how many tasks run at once', 1),
    policy: oneOf(['critical-path', 'fifo', 'depth-first'], 'who is first; by default critical-path'),
    estimates: text(
      'FILE',
      'expected seconds by id or type, as JSON, to rank by; by default exact durations',
    ),
    json: flag('print it as one JSON document'),
  },
  does: async ({ words: [file], values: { slots, policy, estimates }, out }) => {
    if (slots === undefined) throw new WrongCall('--slots is missing; give a whole number from 1');
    const workload = readWorkload(file);
    const simulated = await simulateWorkload(workload, {
      slots,
      policy,
      ...(estimates !== undefined && { estimates: readEstimates(estimates) }),
    }).catch((error: Error) => {
      if (!(error instanceof WorkflowDefinitionError)) throw error;
      throw new WrongCall(`${file} is no workload: ${error.faults[0]?.message}`);
    });
    out.answer(
      () => simulated,
      () => asText(simulated),
    );
    return 0;
  },
});

/** Runs a workload with the engine itself, in virtual time. @throws WorkflowDefinitionError */
export async function simulateWorkload(workload: Workload, setting: Setting): Promise<Simulated> {
  const begun = performance.now();
  const scheduler = new SimulationScheduler();
  // What ends together ends before anything starts: the choice among ready tasks is made once an instant.
  const instants = new Instants(
    scheduler,
    () => run.setConcurrency(0),
    () => run.setConcurrency(setting.slots),
  );
  const run = flowOf(workload, setting, instants).run({ scheduler, seed: 1 });
  const ended = run.result();
  scheduler.flush();
  const result = (await ended).orThrow();
  const criticalPathSeconds = longestPath(workload);
  return {
    name: workload.name,
    tasks: workload.tasks.length,
    slots: setting.slots,
    policy: setting.policy,
    makespanSeconds: rounded(result.report.wallMs / 1000),
    lowerBoundSeconds: rounded(Math.max(criticalPathSeconds, leastWork(workload, setting.slots))),
    criticalPathSeconds: rounded(criticalPathSeconds),
    wallMs: rounded(performance.now() - begun),
  };
}

function flowOf(workload: Workload, setting: Setting, instants: Instants): Workflow {
  const { tasks, capacity } = workload;
  const { slots, policy, estimates } = setting;
  const names = capacity.map((_, k) => `resource ${k + 1}`);
  const flow = workflow<undefined, undefined, never, string>({
    name: workload.name,
    concurrency: slots,
    policy,
    resources: Object.fromEntries(
      names.map((name, k) => [name, capacity[k] as number]).filter(([, all]) => all !== 0),
    ),
  });
  for (const { id, type, seconds, deps, demand } of tasks) {
    const expected = estimates === undefined ? seconds : (estimates.get(id) ?? estimates.get(type));
    flow.task(id, {
      type,
      dependencies: deps.map((dep) => new Task(dep)),
      resources: Object.fromEntries(
        names.map((name, k) => [name, demand[k]]).filter(([, amount]) => amount !== 0),
      ),
      ...(expected !== undefined && { estimate: expected * 1000 }),
      run: () => instants.after(seconds * 1000),
    });
  }
  return flow as unknown as Workflow;
}

/** Ends of tasks, those of one instant in one go. */
class Instants {
  readonly #scheduler: SimulationScheduler;
  readonly #before: () => void;
  readonly #after: () => void;
  readonly #open = new Map<number, Subscriber<unknown>[]>();

  constructor(scheduler: SimulationScheduler, before: () => void, after: () => void) {
    this.#scheduler = scheduler;
    this.#before = before;
    this.#after = after;
  }

  /** Completes in `ms`. */
  after(ms: number): Observable<unknown> {
    return new Observable((subscriber) => {
      // To the nanosecond: sums of decimal fractions end in noise.
      const at = Math.round((this.#scheduler.now() + ms) * 1e6);
      const open = this.#open.get(at);
      if (open !== undefined) open.push(subscriber);
      else {
        this.#open.set(at, [subscriber]);
        this.#scheduler.schedule(() => this.#end(at), ms);
      }
    });
  }

  #end(at: number): void {
    const ending = this.#open.get(at) ?? [];
    this.#open.delete(at);
    this.#before();
    for (const subscriber of ending) subscriber.complete();
    this.#after();
  }
}

function longestPath({ tasks }: Workload): number {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const ends = new Map<string, number>();
  const stack = tasks.map((task) => task.id);
  while (stack.length > 0) {
    const id = stack[stack.length - 1] as string;
    const { seconds, deps } = byId.get(id) as Workload['tasks'][number];
    const open = ends.has(id) ? [] : deps.filter((dep) => !ends.has(dep));
    if (open.length > 0) {
      stack.push(...open);
      continue;
    }
    stack.pop();
    if (!ends.has(id))
      ends.set(id, seconds + deps.reduce((most, dep) => Math.max(most, ends.get(dep) as number), 0));
  }
  return [...ends.values()].reduce((most, end) => Math.max(most, end), 0);
}

function leastWork({ tasks, capacity }: Workload, slots: number): number {
  const over = (capacity: number, amountOf: (task: Workload['tasks'][number]) => number): number =>
    capacity === 0 ? 0 : tasks.reduce((sum, task) => sum + task.seconds * amountOf(task), 0) / capacity;
  return Math.max(
    over(slots, () => 1),
    ...capacity.map((all, k) => over(all, (task) => task.demand[k] as number)),
  );
}

/** To the microsecond: sums of decimal fractions end in noise. */
function rounded(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e6;
}

function asText(one: Simulated): string {
  const over = one.lowerBoundSeconds === 0 ? 1 : one.makespanSeconds / one.lowerBoundSeconds;
  return [
    `${one.name}: ${one.tasks} tasks, ${one.slots} slots, ${one.policy}`,
    `makespan ${one.makespanSeconds} s, ${over.toFixed(3)} x the lower bound of ${one.lowerBoundSeconds} s (critical path ${one.criticalPathSeconds} s)`,
    `simulated in ${one.wallMs.toFixed(0)} ms`,
  ].join('\n');
}
