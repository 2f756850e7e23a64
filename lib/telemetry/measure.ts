import { getOrInsert } from '../kernel/get-or-insert.js';
import { isRefusal } from '../kernel/provider-error.js';
import type { WorkflowEvent } from '../model/event.js';
import type { GroupLimits } from '../model/limiter.js';
import { isEnd, type TaskStatus, timeIn } from '../model/status.js';

/** Labels of a measurement: few values each, or a store of metrics would burst. */
export type Labels = Readonly<Record<string, string>>;

/** Where measurements go when somebody asks for them. */
export interface Meters {
  /** `value` more than when it was told last. */
  add(name: MetricName, value: number, labels: Labels): void;
  set(name: MetricName, value: number, labels: Labels): void;
}

/** Gives what takes the values of a histogram with these labels. */
export type Histograms = (name: MetricName, labels: Labels) => (value: number) => void;

/** Every metric with its kind, its unit, what it tells, and its labels beside the name of the workflow. */
export const metrics = {
  tasks: ['counter', '{task}', 'Tasks that ended, by type and status', ['type', 'status']],
  task_duration: ['histogram', 's', 'Time a task was running, all attempts together', ['type']],
  attempts: ['counter', '{attempt}', 'Attempts that ended, by type and outcome', ['type', 'outcome']],
  wait: ['counter', 's', 'Time tasks waited, by cause', ['cause']],
  refusals: ['counter', '{response}', 'Answers with status 429, by group', ['group']],
  active: ['gauge', '{task}', 'Tasks at work, by group', ['group']],
  ready: ['gauge', '{task}', 'Tasks that wait for a slot or permit, by group', ['group']],
  limit: ['gauge', '{task}', 'Tasks that may be at work at once, by group', ['group']],
  adaptive_target: ['gauge', '{task}', 'Tasks an adaptive limit would let be at work, by group', ['group']],
  permits_used: ['gauge', '{permit}', 'Permits taken, by group and window', ['group', 'window']],
  permits_limit: ['gauge', '{permit}', 'Permits there are, by group and window', ['group', 'window']],
  budget_spent: ['gauge', '{unit}', 'What of a budget is spent, by group and cap', ['group', 'cap']],
  budget_limit: ['gauge', '{unit}', 'Where nothing new starts, by group and cap', ['group', 'cap']],
  tokens: ['counter', '{token}', 'Tokens used, by model and direction', ['model', 'direction']],
  cost: ['counter', '{cost}', 'Money spent, by model', ['model']],
  runs: ['counter', '{run}', 'Runs that ended, by status', ['status']],
} as const satisfies Record<
  string,
  readonly ['counter' | 'histogram' | 'gauge', string, string, readonly string[]]
>;

/** Name of a metric. */
export type MetricName = keyof typeof metrics;

/** A counter with its labels: what has been added and not been told yet. */
interface Cell {
  readonly name: MetricName;
  readonly labels: Labels;
  more: number;
}

/** A number that was told, with its labels. */
interface Gauge {
  readonly name: MetricName;
  readonly labels: Labels;
  readonly value: number;
}

/** A counter by the values of one of its labels. */
class Counts {
  readonly #cells = new Map<string, Cell>();
  readonly #make: (value: string) => Cell;

  constructor(make: (value: string) => Cell) {
    this.#make = make;
  }

  add(value: string, more: number): void {
    const cell = getOrInsert(this.#cells, value, () => this.#make(value));
    cell.more += more;
  }
}

/** What is counted of all tasks of one type. */
interface Kind {
  /** By status. */
  readonly ends: Counts;
  /** By outcome. */
  readonly attempts: Counts;
  readonly lasted: (seconds: number) => void;
}

/** How many tasks of a group are at work, and ready. */
interface Level {
  readonly labels: Labels;
  active: number;
  ready: number;
  limit: number | undefined;
}

/** All runs of one workflow. */
interface Workflow {
  readonly name: string;
  readonly kinds: Map<string, Kind>;
  /** By name of the group; empty: the whole run. */
  readonly levels: Map<string, Level>;
  /** By cause. */
  readonly waits: Counts;
}

interface Task {
  readonly kind: Kind;
  readonly all: Level;
  readonly group: Level | undefined;
  status: string;
  since: number;
  runningMs: number;
  permitMs: number;
}

interface Run {
  readonly id: string;
  readonly workflow: Workflow;
  readonly tasks: Map<string, Task>;
}

const mostTypes = 200;

/**
 * Turns the events of runs into measurements. An event changes a number or two here; whoever keeps metrics is told when it
 * is asked for them, by {@link Measure.tell}. Histograms alone hear of each value.
 */
export class Measure {
  readonly #histograms: Histograms;
  readonly #workflows = new Map<string, Workflow>();
  readonly #runs = new Map<string, Run>();
  readonly #types = new Set<string>();
  readonly #cells = new Map<string, Cell>();
  readonly #gauges = new Map<string, Gauge>();
  /** Of the newest event. */
  #run: Run | undefined;

  constructor(histograms: Histograms) {
    this.#histograms = histograms;
  }

  /** Tells what has come since the last time, and all gauges. */
  tell(meters: Meters): void {
    for (const cell of this.#cells.values()) {
      const { name, more, labels } = cell;
      cell.more = 0;
      if (more > 0) meters.add(name, more, labels);
    }
    for (const { name, labels, value } of this.#gauges.values()) meters.set(name, value, labels);
    for (const { levels } of this.#workflows.values())
      for (const { labels, active, ready, limit } of levels.values()) {
        meters.set('active', active, labels);
        meters.set('ready', ready, labels);
        if (limit !== undefined) meters.set('limit', limit, labels);
      }
  }

  take(event: WorkflowEvent): void {
    const run = this.#runOf(event);
    switch (event.type) {
      case 'run':
        if (event.reason === 'ended') this.#ended(run, event.status ?? 'cancelled');
        break;
      case 'plan':
        this.#plan(run, event);
        break;
      case 'task':
        this.#status(run, event);
        break;
      case 'attempt':
        this.#attempt(run, event);
        break;
      case 'usage': {
        const { model = '', inputTokens, outputTokens, cost = 0 } = event;
        const labels = { workflow: run.workflow.name, model };
        this.#add('tokens', { ...labels, direction: 'input' }, inputTokens);
        this.#add('tokens', { ...labels, direction: 'output' }, outputTokens);
        this.#add('cost', labels, cost);
        break;
      }
      case 'limits':
        for (const one of event.groups) this.#used(run.workflow.name, one);
        break;
      case 'group':
        if (event.reason === 'limit' && event.concurrency !== undefined && Number.isFinite(event.concurrency))
          this.#level(run.workflow, event.group ?? '').limit = event.concurrency;
        break;
    }
  }

  #runOf(event: WorkflowEvent): Run {
    const { runId } = event;
    if (this.#run?.id === runId) return this.#run;
    let run = this.#runs.get(runId);
    if (run === undefined) {
      const name = event.type === 'run' ? (event.workflow ?? '') : '';
      run = { id: runId, workflow: this.#workflow(name), tasks: new Map() };
      this.#runs.set(runId, run);
    }
    this.#run = run;
    return run;
  }

  #workflow(name: string): Workflow {
    let workflow = this.#workflows.get(name);
    if (workflow === undefined) {
      const waits = new Counts((cause) => this.#cell('wait', { workflow: name, cause }));
      workflow = { name, kinds: new Map(), levels: new Map(), waits };
      this.#workflows.set(name, workflow);
    }
    return workflow;
  }

  #ended({ id, workflow, tasks }: Run, status: string): void {
    this.#add('runs', { workflow: workflow.name, status }, 1);
    for (const task of tasks.values()) move(task, 'left');
    this.#runs.delete(id);
    this.#run = undefined;
  }

  #plan({ workflow, tasks }: Run, event: Extract<WorkflowEvent, { type: 'plan' }>): void {
    const all = this.#level(workflow, '');
    for (const { name, concurrency } of event.groups ?? [])
      if (concurrency !== null) this.#level(workflow, name).limit = concurrency;
    if (typeof event.concurrency === 'number') all.limit = event.concurrency;
    for (const { id, type = id, group } of event.tasks)
      tasks.set(id, {
        kind: this.#kind(workflow, type),
        all,
        group: group === undefined ? undefined : this.#level(workflow, group),
        status: 'waiting',
        since: event.at,
        runningMs: 0,
        permitMs: 0,
      });
  }

  #status({ workflow, tasks }: Run, event: Extract<WorkflowEvent, { type: 'task' }>): void {
    const { taskId, reason, at } = event;
    const task = tasks.get(taskId);
    if (task === undefined) return;
    const spent = at - task.since;
    if (spent > 0) this.#book(workflow, task, spent, event.permitMs);
    task.permitMs = event.permitMs ?? task.permitMs;
    task.since = at;
    move(task, reason);
    if (!isEnd(reason)) return;
    tasks.delete(taskId);
    const { kind, runningMs } = task;
    kind.ends.add(reason, 1);
    if (runningMs > 0) kind.lasted(runningMs / 1_000);
  }

  /** `spent` ms in the status that ends. */
  #book(workflow: Workflow, task: Task, spent: number, permitMs = task.permitMs): void {
    const { status } = task;
    if (status === 'running') {
      task.runningMs += spent;
      return;
    }
    const permit = status === 'ready' ? Math.min(spent, permitMs - task.permitMs) : 0;
    if (permit > 0) workflow.waits.add('permit', permit / 1_000);
    if (spent > permit) workflow.waits.add(timeIn[status as TaskStatus] ?? status, (spent - permit) / 1_000);
  }

  #attempt({ workflow, tasks }: Run, event: Extract<WorkflowEvent, { type: 'attempt' }>): void {
    const { reason, taskId, error } = event;
    if (reason === 'started' || reason === 'begun') return;
    const task = tasks.get(taskId);
    const kind = task?.kind ?? this.#kind(workflow, '');
    kind.attempts.add(reason, 1);
    if (error !== undefined && isRefusal(error, event.retryAfter))
      this.#add('refusals', { workflow: workflow.name, group: task?.group?.labels.group ?? '' }, 1);
  }

  #used(workflow: string, { group = '', target, limiters, budgets = [] }: GroupLimits): void {
    const labels = { workflow, group };
    if (target !== undefined) this.#set('adaptive_target', labels, target);
    for (const { windows } of limiters)
      for (const { name: window, used, max } of windows) {
        this.#set('permits_used', { ...labels, window }, used);
        this.#set('permits_limit', { ...labels, window }, max);
      }
    for (const { limit: cap, spent, cap: soft, hardCap: most = soft } of budgets) {
      this.#set('budget_spent', { ...labels, cap }, spent);
      if (soft !== undefined || most !== undefined)
        this.#set('budget_limit', { ...labels, cap }, soft ?? (most as number));
    }
  }

  #set(name: MetricName, labels: Labels, value: number): void {
    this.#gauges.set(keyOf(name, labels), { name, labels, value });
  }

  #add(name: MetricName, labels: Labels, value: number): void {
    if (value > 0) this.#cell(name, labels).more += value;
  }

  #cell(name: MetricName, labels: Labels): Cell {
    const key = keyOf(name, labels);
    return getOrInsert(this.#cells, key, () => ({ name, labels, more: 0 }));
  }

  #level({ name, levels }: Workflow, group: string): Level {
    return getOrInsert(levels, group, () => ({
      labels: { workflow: name, group },
      active: 0,
      ready: 0,
      limit: undefined,
    }));
  }

  /** `analyze_17` is an `analyze_#`; beyond so many types the rest is one. */
  #kind({ name: workflow, kinds }: Workflow, type: string): Kind {
    const known = kinds.get(type);
    if (known !== undefined) return known;
    const short = type.replaceAll(/\d+/g, '#').slice(0, 100);
    const name = this.#types.has(short) || this.#types.size < mostTypes ? short : 'other';
    this.#types.add(name);
    let kind = kinds.get(name);
    if (kind === undefined) {
      const labels = { workflow, type: name };
      kind = {
        ends: new Counts((status) => this.#cell('tasks', { ...labels, status })),
        attempts: new Counts((outcome) => this.#cell('attempts', { ...labels, outcome })),
        lasted: this.#histograms('task_duration', labels),
      };
      kinds.set(name, kind);
    }
    return kind;
  }
}

function keyOf(name: MetricName, labels: Labels): string {
  return JSON.stringify([name, ...Object.values(labels)]);
}

/** The task enters a status. */
function move(task: Task, status: string): void {
  const before = task.status;
  task.status = status;
  const active = Number(status === 'running') - Number(before === 'running');
  const ready = Number(status === 'ready') - Number(before === 'ready');
  task.all.active += active;
  task.all.ready += ready;
  if (task.group === undefined) return;
  task.group.active += active;
  task.group.ready += ready;
}
