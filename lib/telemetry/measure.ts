import type { WorkflowEvent } from '../model/event.js';

/** Labels of a measurement: few values each, or a store of metrics would burst. */
export type Labels = Readonly<Record<string, string>>;

/** Where measurements go. */
export interface Meters {
  add(name: MetricName, value: number, labels: Labels): void;
  observe(name: MetricName, value: number, labels: Labels): void;
  set(name: MetricName, value: number, labels: Labels): void;
}

/** Every metric with its kind, its unit and what it tells. */
export const metrics = {
  tasks: ['counter', '{task}', 'Tasks that ended, by type and status'],
  task_duration: ['histogram', 's', 'Time a task was running, all attempts together'],
  attempts: ['counter', '{attempt}', 'Attempts that ended, by type and outcome'],
  wait: ['counter', 's', 'Time tasks waited, by cause'],
  refusals: ['counter', '{response}', 'Answers with status 429, by group'],
  active: ['gauge', '{task}', 'Tasks at work, by group'],
  ready: ['gauge', '{task}', 'Tasks that wait for a slot or permit, by group'],
  limit: ['gauge', '{task}', 'Tasks that may be at work at once, by group'],
  tokens: ['counter', '{token}', 'Tokens used, by model and direction'],
  cost: ['counter', '{cost}', 'Money spent, by model'],
  runs: ['counter', '{run}', 'Runs that ended, by status'],
} as const satisfies Record<string, readonly ['counter' | 'histogram' | 'gauge', string, string]>;

/** Name of a metric. */
export type MetricName = keyof typeof metrics;

interface Followed {
  readonly type: string;
  readonly group: string | undefined;
  /** Of all tasks of the workflow, and of its group. */
  readonly levels: readonly Level[];
  status: string;
  since: number;
  runningMs: number;
  permitMs: number;
}

/** How many tasks of a group are at work, and ready. */
interface Level {
  readonly labels: Labels;
  active: number;
  ready: number;
}

const mostTypes = 200;

/** Turns the events of runs into measurements. */
export class Measure {
  readonly #meters: Meters;
  readonly #workflow = new Map<string, string>();
  readonly #tasks = new Map<string, Followed>();
  readonly #types = new Set<string>();
  readonly #levels = new Map<string, Map<string, Level>>();

  constructor(meters: Meters) {
    this.#meters = meters;
  }

  take(event: WorkflowEvent): void {
    const { runId } = event;
    const workflow = this.#workflow.get(runId) ?? '';
    switch (event.type) {
      case 'run':
        if (event.reason === 'started') this.#workflow.set(runId, event.workflow ?? '');
        if (event.reason === 'ended') {
          this.#meters.add('runs', 1, { workflow, status: event.status ?? 'cancelled' });
          this.#workflow.delete(runId);
          for (const key of this.#tasks.keys()) if (key.startsWith(`${runId} `)) this.#tasks.delete(key);
        }
        break;
      case 'plan':
        for (const { id, type = id, group } of event.tasks) {
          const task = {
            type: this.#kind(type),
            group,
            levels: this.#levelsOf(workflow, group),
            status: 'waiting',
            since: event.at,
            runningMs: 0,
            permitMs: 0,
          };
          this.#tasks.set(`${runId} ${id}`, task);
        }
        for (const { name, concurrency } of event.groups ?? [])
          if (concurrency !== null) this.#meters.set('limit', concurrency, { workflow, group: name });
        if (typeof event.concurrency === 'number')
          this.#meters.set('limit', event.concurrency, { workflow, group: '' });
        break;
      case 'task':
        this.#status(event, workflow);
        break;
      case 'attempt':
        this.#attempt(event, workflow);
        break;
      case 'usage': {
        const { model = '', inputTokens, outputTokens, cost } = event;
        if (inputTokens > 0) this.#meters.add('tokens', inputTokens, { workflow, model, direction: 'input' });
        if (outputTokens > 0)
          this.#meters.add('tokens', outputTokens, { workflow, model, direction: 'output' });
        if (cost !== undefined && cost > 0) this.#meters.add('cost', cost, { workflow, model });
        break;
      }
      case 'group':
        if (event.reason === 'limit' && event.concurrency !== undefined && Number.isFinite(event.concurrency))
          this.#meters.set('limit', event.concurrency, { workflow, group: event.group ?? '' });
        break;
    }
  }

  #status(event: Extract<WorkflowEvent, { type: 'task' }>, workflow: string): void {
    const task = this.#tasks.get(`${event.runId} ${event.taskId}`);
    if (task === undefined) return;
    const spent = event.at - task.since;
    const before = task.status;
    if (before === 'running') task.runningMs += spent;
    else if (spent > 0) {
      const permit =
        before === 'ready' ? Math.min(spent, (event.permitMs ?? task.permitMs) - task.permitMs) : 0;
      if (permit > 0) this.#meters.add('wait', permit / 1_000, { workflow, cause: 'permit' });
      if (spent > permit)
        this.#meters.add('wait', (spent - permit) / 1_000, { workflow, cause: causes[before] ?? before });
    }
    task.permitMs = event.permitMs ?? task.permitMs;
    task.status = event.reason;
    task.since = event.at;
    const active = Number(event.reason === 'running') - Number(before === 'running');
    const ready = Number(event.reason === 'ready') - Number(before === 'ready');
    for (const level of task.levels) {
      level.active += active;
      level.ready += ready;
      if (active !== 0) this.#meters.set('active', level.active, level.labels);
      if (ready !== 0) this.#meters.set('ready', level.ready, level.labels);
    }
    if (!(event.reason in ends)) return;
    const { type } = task;
    this.#meters.add('tasks', 1, { workflow, type, status: event.reason });
    if (task.runningMs > 0) this.#meters.observe('task_duration', task.runningMs / 1_000, { workflow, type });
    this.#tasks.delete(`${event.runId} ${event.taskId}`);
  }

  #attempt(event: Extract<WorkflowEvent, { type: 'attempt' }>, workflow: string): void {
    if (event.reason === 'started') return;
    const task = this.#tasks.get(`${event.runId} ${event.taskId}`);
    this.#meters.add('attempts', 1, { workflow, type: task?.type ?? '', outcome: event.reason });
    const { status, statusCode } = (event.error ?? {}) as { status?: unknown; statusCode?: unknown };
    if (status === 429 || statusCode === 429)
      this.#meters.add('refusals', 1, { workflow, group: task?.group ?? '' });
  }

  #levelsOf(workflow: string, group: string | undefined): Level[] {
    const known = this.#levels.get(workflow) ?? new Map<string, Level>();
    this.#levels.set(workflow, known);
    return (group === undefined ? [''] : ['', group]).map((name) => {
      const level = known.get(name) ?? { labels: { workflow, group: name }, active: 0, ready: 0 };
      known.set(name, level);
      return level;
    });
  }

  /** `analyze_17` is an `analyze_#`; beyond so many types the rest is one. */
  #kind(type: string): string {
    const kind = type.replaceAll(/\d+/g, '#').slice(0, 100);
    if (!this.#types.has(kind) && this.#types.size >= mostTypes) return 'other';
    this.#types.add(kind);
    return kind;
  }
}

const causes: Readonly<Record<string, string>> = {
  waiting: 'dependencies',
  ready: 'slot',
  'backing-off': 'backoff',
};
const ends = { succeeded: 1, failed: 1, skipped: 1, cancelled: 1, restored: 1 };
