import { getOrInsert } from '../kernel/get-or-insert.js';
import { isRefusal } from '../kernel/provider-error.js';
import type { PlannedTask, WorkflowEvent } from '../model/event.js';
import type { GroupLimits } from '../model/limiter.js';
import { isEnd, type RunStatus, type TaskStatus, timeIn } from '../model/status.js';
import { changesOf } from './changes.js';
import { closeSpan, Span, type SpanKind } from './spans.js';
import { talked } from './talk.js';
import type { CommitView, GroupView, QuestionView, TaskView } from './view-types.js';

export type { CommitView, GroupView, QuestionView, Span, SpanKind, TaskView };

const mostStream = 200;
const mostPoints = 5_000;

/** Most tasks have none of these: they share them. */
const none: readonly never[] = [];
const noUsage = { inputTokens: 0, outputTokens: 0, cost: 0 };

/**
 * A run as its events tell it: the one model behind the live page, a log that is read afterwards, and the one-file
 * report. Folds events one by one; broken or unknown ones change nothing.
 */
export class RunView {
  runId = '';
  workflow = '';
  startedAt = 0;
  status: RunStatus | 'running' | 'waiting' = 'waiting';
  /** Why it was cancelled. */
  error: unknown;
  /** Ms of the run at the newest event. */
  now = 0;
  /** Grows with each event: what was drawn from an older one is out of date. */
  version = 0;
  /** Grows when the graph does. */
  planVersion = 0;
  readonly tasks = new Map<string, TaskView>();
  readonly groups = new Map<string | undefined, GroupView>();
  /** Permits, budgets and adaptive targets as they were told last, by group. */
  readonly limits = new Map<string | undefined, GroupLimits>();
  readonly commits: CommitView[] = [];
  initialState: unknown;
  readonly events: WorkflowEvent[] = [];
  /** Open questions to people, by id. */
  readonly questions = new Map<string, QuestionView>();
  /** Nothing new starts until somebody says so; `before`: it stands at the breakpoint of that task. */
  paused: { readonly before?: string } | undefined;
  /** Nothing new begins in this process. */
  draining = false;
  /** What all that is left waits for, while nothing goes on by itself. */
  stuck: readonly string[] = [];
  /** Events that were lost on the way, as the numbers tell. */
  missing = 0;
  #last = 0;

  readonly #keepEvents: boolean;

  /** `events: 0` keeps no list of events, for pictures that do not show them. */
  constructor(options: { readonly events?: 0 } = {}) {
    this.#keepEvents = options.events !== 0;
    this.groups.set(undefined, newGroup(undefined, undefined));
  }

  /** The whole run as a group. */
  get all(): GroupView {
    return this.groups.get(undefined) as GroupView;
  }

  /** Tasks in the order in which they came. */
  list(): TaskView[] {
    return [...this.tasks.values()];
  }

  /** How many tasks are in each status. */
  counts(): Partial<Record<TaskStatus, number>> {
    const counts: Partial<Record<TaskStatus, number>> = {};
    for (const { status } of this.tasks.values()) counts[status] = (counts[status] ?? 0) + 1;
    return counts;
  }

  /** Ms until the end at the pace so far; undefined while there is none. A guess: `run.eta()` knows the graph. */
  left(): number | undefined {
    let done = 0;
    for (const { spans, status } of this.tasks.values()) if (spans.length > 0 && isEnd(status)) done += 1;
    return done === 0 ? undefined : (this.now / done) * (this.tasks.size - done);
  }

  apply(event: WorkflowEvent): void {
    if (typeof event?.type !== 'string' || !Number.isFinite(event.at) || !Number.isFinite(event.seq)) return;
    // After a reconnect the newest events come twice.
    if (event.seq <= this.#last && event.runId === this.runId) return;
    if (this.#last > 0 && event.seq > this.#last + 1) this.missing += event.seq - this.#last - 1;
    this.#last = event.seq;
    this.now = Math.max(this.now, event.at);
    this.version += 1;
    if (this.#keepEvents) this.events.push(event);
    try {
      this.#fold(event);
    } catch {
      // A line of a foreign or damaged log; the others still tell their part.
    }
  }

  #fold(event: WorkflowEvent): void {
    switch (event.type) {
      case 'run':
        this.#run(event);
        break;
      case 'plan':
        for (const task of event.tasks) this.#plan(task, event.parent, event.at);
        if (event.reason === 'initial') {
          this.all.limit = event.concurrency ?? undefined;
          for (const [name, amount] of Object.entries(event.resources ?? {}))
            this.all.facts.set(`resource ${name}`, amount);
          for (const { name, concurrency } of event.groups ?? [])
            this.groups.set(name, newGroup(name, concurrency ?? undefined));
        }
        break;
      case 'task':
        this.#status(event);
        break;
      case 'attempt':
        this.#attempt(event);
        break;
      case 'value': {
        const task = this.#task(event.taskId, event.at);
        task.streamed += 1;
        task.stream = more(task.stream, event.value);
        if (task.stream.length > mostStream) (task.stream as unknown[]).shift();
        break;
      }
      case 'usage': {
        const task = this.#task(event.taskId, event.at);
        const { inputTokens, outputTokens, cost } = task.usage;
        task.usage = {
          inputTokens: inputTokens + event.inputTokens,
          outputTokens: outputTokens + event.outputTokens,
          cost: cost + (event.cost ?? 0),
        };
        task.model = event.model ?? task.model;
        break;
      }
      case 'group':
        this.#group(event);
        break;
      case 'memory':
        this.#groupOf(undefined).facts.set('memory', `${event.reason}: ${Math.round(event.share * 100)} %`);
        break;
      case 'limits':
        for (const one of event.groups) this.limits.set(one.group, one);
        break;
      case 'breaker':
        this.#groupOf(event.group).facts.set('breaker', event.reason);
        break;
      case 'budget': {
        const { limit, spent, cap, reason } = event;
        this.#groupOf(event.group).facts.set(`budget, ${limit}`, `${reason}: ${spent} of ${cap}`);
        break;
      }
      case 'state':
        if (event.reason === 'committed')
          this.commits.push({
            commit: event.commit,
            at: event.at,
            taskId: event.taskId,
            changes: changesOf(event),
          });
        break;
      case 'question':
        this.#question(event);
        break;
      case 'log':
      case 'message': {
        const task = this.#task(event.taskId, event.at);
        task.messages = more(task.messages, event.type === 'log' ? event : talked(event));
        break;
      }
    }
  }

  #run(event: Extract<WorkflowEvent, { type: 'run' }>): void {
    this.runId = event.runId;
    // Who waits still waits.
    if (this.#changed(event)) return;
    this.draining = event.reason === 'draining' || (this.draining && event.reason === 'stuck');
    if (event.reason === 'paused') this.paused = event.taskId === undefined ? {} : { before: event.taskId };
    else if (event.reason !== 'stuck' && event.reason !== 'stepped') this.paused = undefined;
    this.stuck = event.reason === 'stuck' && Array.isArray(event.waitsFor) ? event.waitsFor.map(String) : [];
    if (event.reason === 'ended') {
      this.status = event.status ?? 'cancelled';
      this.error = event.error;
      for (const task of this.tasks.values()) closeSpan(task.spans, event.at);
      return;
    }
    this.status = 'running';
    if ('state' in event) this.initialState = event.state;
    if (event.reason !== 'started') return;
    this.workflow = String(event.workflow ?? '');
    this.startedAt = event.startedAt ?? 0;
  }

  /** Was it a change by hand that leaves the run as a whole as it is? */
  #changed({
    reason,
    group,
    taskId = '',
    priority,
    resource = '',
    capacity = 0,
  }: Extract<WorkflowEvent, { type: 'run' }>): boolean {
    const task = this.tasks.get(taskId);
    if (reason === 'priority' && task !== undefined) task.priority = priority;
    if (reason === 'resource') this.all.facts.set(`resource ${resource}`, capacity);
    if (group !== undefined) {
      this.#groupOf(group).paused = reason === 'paused';
      if (reason === 'continued') this.stuck = [];
    }
    return reason === 'priority' || reason === 'resource' || group !== undefined;
  }

  #plan(task: PlannedTask, parent: string | undefined, at: number): TaskView {
    const { id, type = id, group, dependencies = [] } = task;
    const made: TaskView = {
      id,
      plan: task,
      seq: this.tasks.size,
      type,
      group,
      dependencies,
      parent,
      priority: task.priority,
      status: 'waiting',
      tolerated: false,
      spans: [new Span('dependencies', at)],
      attempts: 0,
      permitMs: 0,
      error: undefined,
      value: undefined,
      errors: none,
      stream: none,
      streamed: 0,
      messages: none,
      usage: noUsage,
      model: undefined,
    };
    this.tasks.set(id, made);
    this.planVersion += 1;
    return made;
  }

  #task(id: string, at: number): TaskView {
    return this.tasks.get(id) ?? this.#plan({ id, dependencies: [] }, undefined, at);
  }

  #status(event: Extract<WorkflowEvent, { type: 'task' }>): void {
    const task = this.#task(event.taskId, event.at);
    const before = task.status;
    task.status = event.reason;
    task.tolerated = event.tolerated === true;
    const permitMs = Number(event.permitMs ?? task.permitMs);
    closeSpan(task.spans, event.at, permitMs - task.permitMs);
    task.permitMs = permitMs;
    // An order that waits for a worker has a slot here, and waits for one there.
    const isOrder = event.reason === 'running' && before === 'ready' && task.plan.remote === true;
    const kind = isOrder ? 'slot' : timeIn[event.reason];
    if (isOrder) this.stuck = none;
    if (kind === 'running') {
      const attempt = task.attempts + (before === 'ready' ? 1 : 0);
      task.spans.push(new Span(kind, event.at, attempt));
      this.stuck = none;
    } else if (kind !== undefined) task.spans.push(new Span(kind, event.at));
    if (isEnd(event.reason))
      for (const [id, question] of this.questions) if (question.taskId === task.id) this.questions.delete(id);
    if ('error' in event) task.error = event.error;
    if ('value' in event) task.value = event.value;
    const active = Number(event.reason === 'running') - Number(before === 'running');
    const ready = Number(event.reason === 'ready') - Number(before === 'ready');
    count(this.all, event.at, active, ready);
    if (task.group !== undefined) count(this.#groupOf(task.group), event.at, active, ready);
  }

  #attempt(event: Extract<WorkflowEvent, { type: 'attempt' }>): void {
    const task = this.#task(event.taskId, event.at);
    task.attempts = Math.max(task.attempts, event.attempt);
    if (event.reason === 'started') {
      const span = task.spans.at(-1);
      if (span?.kind === 'running') span.attempt = event.attempt;
      return;
    }
    if (event.reason === 'begun') {
      closeSpan(task.spans, event.at);
      task.spans.push(new Span('running', event.at, event.attempt));
      return;
    }
    const span = task.spans.findLast((one) => one.kind === 'running');
    // One that no worker has begun has no span.
    if (span !== undefined && (task.plan.remote !== true || span.to === undefined)) span.end = event.reason;
    if (event.error === undefined) return;
    task.errors = more(task.errors, { attempt: event.attempt, at: event.at, error: event.error });
    if (isRefusal(event.error, event.retryAfter))
      for (const name of task.group === undefined ? [undefined] : [undefined, task.group])
        this.#groupOf(name).refused += 1;
  }

  #question(event: Extract<WorkflowEvent, { type: 'question' }>): void {
    const { reason, taskId, questionId, prompt = '', context, deadline, callback, because = '' } = event;
    const known = this.questions.get(questionId);
    if (reason === 'asked') {
      const more = {
        ...(context !== undefined && { context }),
        ...(deadline !== undefined && { deadline }),
        ...(callback === true && { callback }),
      };
      this.questions.set(questionId, { taskId, prompt, ...more });
    } else if (reason === 'answered' || reason === 'expired') this.questions.delete(questionId);
    else if (reason === 'refused' && known !== undefined) known.refused = because;
  }

  #group(event: Extract<WorkflowEvent, { type: 'group' }>): void {
    const group = this.#groupOf(event.group);
    if (event.reason === 'limit') group.limit = event.concurrency ?? undefined;
    if (event.reason === 'gated') group.gatedUntil = event.at + (event.delay ?? 0);
    point(group, event.at);
  }

  #groupOf(name: string | undefined): GroupView {
    return getOrInsert(this.groups, name, () => newGroup(name, undefined));
  }
}

function newGroup(name: string | undefined, limit: number | undefined): GroupView {
  return {
    name,
    active: 0,
    most: 0,
    limit,
    ready: 0,
    gatedUntil: 0,
    refused: 0,
    paused: false,
    facts: new Map(),
    history: [],
  };
}

/** The list with one thing more; one that is shared stays as it is. */
function more<T>(list: readonly T[], one: T): readonly T[] {
  if (list === none) return [one];
  (list as T[]).push(one);
  return list;
}

/** So many tasks more are at work, and ready. */
function count(group: GroupView, at: number, active: number, ready: number): void {
  group.ready += ready;
  if (active === 0) return;
  group.active += active;
  group.most = Math.max(group.most, group.active);
  point(group, at);
}

/** A point per ms at most, and every second one forgotten when there are too many. */
function point(group: GroupView, at: number): void {
  const { history, active, limit } = group;
  const last = history.at(-1);
  if (last?.at === at) {
    last.active = active;
    last.limit = limit;
    return;
  }
  history.push({ at, active, limit });
  if (history.length > mostPoints) history.splice(0, mostPoints, ...history.filter((_, i) => i % 2 === 0));
}
