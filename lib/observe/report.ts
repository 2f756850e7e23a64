import { choiceOf, isDecided, isForgiven, isHandled, isLost, isTolerated } from '../graph/choice-state.js';
import { type ForgottenTasks, retriesOf } from '../graph/forgotten-tasks.js';
import type { TaskNode } from '../graph/node.js';
import { LimitExceededError, messageOf, type RxhiveError, TaskSkippedError } from '../kernel/errors.js';
import type { BudgetState } from '../model/budget.js';
import { isMet, type Task } from '../model/dependency.js';
import { PartialWorkflowError } from '../model/partial-error.js';
import type { OpenQuestion } from '../model/question.js';
import type {
  AttemptReport,
  Results,
  RunReport,
  SpeedUp,
  TaskReport,
  TaskReports,
  WorkflowResult,
} from '../model/result.js';
import type { RunEnd } from '../model/run-row.js';
import { isEnd, isSuccess, type RunStatus } from '../model/status.js';
import { asText, type Failure } from './report-text.js';
import { LazyResults } from './results.js';
import { type Bill, spendersOf, usageOf } from './spending.js';

/** What a result is built from; nothing is copied until somebody reads it. */
export interface Facts {
  readonly nodes: ReadonlyMap<string, TaskNode>;
  /** Items that have ended and are no nodes any more. */
  readonly forgotten: ForgottenTasks;
  readonly runId: string;
  readonly workflow: string;
  readonly wallMs: number;
  readonly seed: number;
  readonly state: unknown;
  readonly closing: RxhiveError | undefined;
  /** Why the end of the log may be missing. */
  readonly storeError: RxhiveError | undefined;
  readonly budgets: readonly BudgetState[];
  /** With a run that ended `suspended`: what has to be answered. */
  readonly questions: readonly OpenQuestion[] | undefined;
  /** What tasks used that the run does not have any more. */
  readonly elsewhere: readonly Bill[];
  readonly subscriberErrors: readonly unknown[];
  /** What halving each task of a path would save. */
  speedUps(path: readonly string[]): readonly SpeedUp[];
}

/** How the run has ended, in short. */
export function endOf(facts: Facts): RunEnd {
  const { status, counts, error } = new Outcome(facts);
  return { status, counts, ...(error !== undefined && { error: messageOf(error) }) };
}

/** The end of the observe stage: status, results, reports. */
export function resultOf(facts: Facts): WorkflowResult {
  return new Outcome(facts);
}

type Counts = Record<keyof RunReport['counts'], number>;

class Outcome implements WorkflowResult {
  readonly status: RunStatus;
  readonly state: unknown;
  readonly error?: RxhiveError;
  readonly questions: readonly OpenQuestion[];
  readonly #facts: Facts;
  readonly counts: Counts;
  #results: Results | undefined;
  #tasks: TaskReports | undefined;
  #report: RunReport | undefined;

  constructor(facts: Facts) {
    this.#facts = facts;
    this.counts = { ...facts.forgotten.counts, suspended: 0, waiting: 0 };
    for (const { status } of facts.nodes.values())
      this.counts[isEnd(status) || status === 'suspended' ? (status as keyof Counts) : 'waiting'] += 1;
    this.questions = facts.questions ?? [];
    this.status = statusOf(this.counts, facts);
    this.state = facts.state;
    if (facts.closing !== undefined) this.error = facts.closing;
  }

  get results(): Results {
    this.#results ??= new LazyResults(this.#facts.nodes) as unknown as Results;
    return this.#results;
  }

  get tasks(): TaskReports {
    if (this.#tasks === undefined) {
      const map = new HandleMap<TaskReport>();
      const causes = new Map<TaskNode, readonly string[]>();
      for (const [id, node] of this.#facts.nodes) map.set(id, reportOf(node, causes));
      this.#tasks = map as unknown as TaskReports;
    }
    return this.#tasks;
  }

  get report(): RunReport {
    this.#report ??= runReport(this.#facts, this.status, this.counts);
    return this.#report;
  }

  orThrow(): WorkflowResult {
    if (this.status === 'succeeded') return this;
    const failed = new Map<string, unknown>();
    const skipped = new Map<string, readonly string[]>();
    for (const [id, task] of this.tasks) {
      if (task.status === 'failed' || task.status === 'cancelled') failed.set(id, task.error);
      if (task.status === 'skipped') skipped.set(id, task.skippedBecause ?? []);
    }
    throw new PartialWorkflowError(this.#facts.workflow, this.status, failed, skipped, this.results);
  }
}

/** A map that takes handles as well as ids. */
class HandleMap<V> extends Map<string, V> {
  override get(key: string | Task): V | undefined {
    return super.get(typeof key === 'string' ? key : key.id);
  }

  override has(key: string | Task): boolean {
    return super.has(typeof key === 'string' ? key : key.id);
  }
}

function usable(node: TaskNode): boolean {
  return isSuccess(node.status);
}

/** Counts a task that has not succeeded as none that went wrong? But for those that were skipped for another. */
function isExcused(node: TaskNode): boolean {
  return isLost(node) || isForgiven(node) || isDecided(node) || isHandled(node);
}

/** How many were skipped for nothing but failures that were handled, and decisions. */
function skippedForHandled(nodes: Facts['nodes']): number {
  const causes = new Map<TaskNode, readonly string[]>();
  const known = new Map<readonly string[], boolean>();
  let count = 0;
  for (const node of nodes.values()) {
    if (node.status !== 'skipped' || isExcused(node)) continue;
    const roots = rootCauses(node, causes);
    const all = known.get(roots) ?? roots.every((id) => isHandledRoot(nodes.get(id)));
    known.set(roots, all);
    if (all && roots.length > 0) count += 1;
  }
  return count;
}

function isHandledRoot(root: TaskNode | undefined): boolean {
  return root !== undefined && (isHandled(root) || isDecided(root));
}

function statusOf(counts: Counts, facts: Facts): RunStatus {
  const reason = facts.closing?.details.reason;
  if (reason === 'fail-fast') return 'failed';
  if (facts.closing !== undefined) return 'cancelled';
  if (facts.questions !== undefined) return 'suspended';
  const good = counts.succeeded + counts.restored;
  let excused = facts.forgotten.tolerated;
  const total = facts.nodes.size + facts.forgotten.total;
  let handled = false;
  if (good < total)
    for (const node of facts.nodes.values()) {
      if (usable(node) || !isExcused(node)) continue;
      excused += 1;
      handled ||= isHandled(node);
    }
  if (handled) excused += skippedForHandled(facts.nodes);
  // With nothing to do as well.
  if (good + excused === total) return 'succeeded';
  return good === 0 ? 'failed' : 'partial';
}

function attemptsOf(node: TaskNode): AttemptReport[] {
  const attempts: AttemptReport[] = [...(node.extra?.attempts ?? [])];
  const last = attempts.at(-1);
  if (
    node.startedAt >= 0 &&
    (last === undefined ||
      last.startedAt !== node.startedAt ||
      attempts.filter(({ hedge }) => hedge !== true).length < node.attempt)
  ) {
    const failure = node.error === undefined ? {} : { error: node.error };
    const worker = node.extra?.worker;
    const by = worker === undefined ? {} : { worker };
    attempts.push({ startedAt: node.startedAt, endedAt: node.since, ...failure, ...by });
  }
  return attempts;
}

function reportOf(node: TaskNode, causes: Map<TaskNode, readonly string[]>): TaskReport {
  const { extra } = node;
  return {
    id: node.id,
    type: node.definition.type ?? node.id,
    status: node.status,
    attempts: attemptsOf(node),
    ...(node.error === undefined ? {} : { error: node.error }),
    ...(isTolerated(node) && { tolerated: true as const }),
    ...(isDecided(node) && { decided: true as const }),
    ...(node.status === 'skipped' ? { skippedBecause: rootCauses(node, causes) } : {}),
    waits: {
      dependencies: node.dependenciesMs,
      slot: node.slotMs,
      permit: extra?.permitMs ?? 0,
      backoff: extra?.backoffMs ?? 0,
      suspended: extra?.suspendedMs ?? 0,
    },
    runningMs: node.runningMs,
    usage: node.usage.report,
  };
}

/** Ids of the failed or cancelled tasks a skip goes back to. Without recursion: chains can be long. */
function rootCauses(start: TaskNode, known: Map<TaskNode, readonly string[]>): readonly string[] {
  const stack: TaskNode[] = [start];
  while (stack.length > 0) {
    const node = stack[stack.length - 1] as TaskNode;
    if (known.has(node)) {
      stack.pop();
      continue;
    }
    if (node.error instanceof LimitExceededError) {
      known.set(node, [node.error.limitName]);
      continue;
    }
    if (decidedItself(node)) {
      known.set(node, ['condition']);
      continue;
    }
    const guilty = guiltyOf(node);
    const before = stack.length;
    for (const from of guilty) if (from.status === 'skipped' && !known.has(from)) stack.push(from);
    if (stack.length === before) known.set(node, merged(guilty, known));
  }
  return known.get(start) ?? [];
}

/** Was it skipped by a decision of its own, and not by one of a task that it needs? */
function decidedItself({ id, status, error }: TaskNode): boolean {
  return status === 'skipped' && error instanceof TaskSkippedError && error.taskId === id;
}

/** What a task was skipped for: dependencies that did not succeed, or its parent. */
function guiltyOf(node: TaskNode): TaskNode[] {
  const guilty: TaskNode[] = [];
  for (const edge of node.inEdges) {
    const { mode, from } = edge;
    const choice = choiceOf(edge);
    if (choice?.state === 'failed' && isEnd(from.status) && !usable(from) && !isLost(from)) guilty.push(from);
    if (choice === undefined && mode !== 'join' && isEnd(from.status) && !isMet(mode, from.status))
      guilty.push(from);
  }
  // Held until its parent was durable, which it never was.
  const { parent } = node;
  if (guilty.length === 0 && parent !== undefined && isEnd(parent.status) && !usable(parent))
    guilty.push(parent);
  return guilty;
}

/** Neighbours mostly share their causes: they share the array, too, or wide failures would take space in squares. */
function merged(
  guilty: readonly TaskNode[],
  known: ReadonlyMap<TaskNode, readonly string[]>,
): readonly string[] {
  const own: string[] = [];
  const lists = new Set<readonly string[]>();
  for (const from of guilty) {
    if (decidedItself(from)) own.push(from.id);
    else if (from.status === 'skipped') lists.add(known.get(from) ?? []);
    else own.push(from.id);
  }
  const [only] = lists;
  if (only !== undefined && lists.size === 1 && own.length === 0) return only;
  return [...new Set([...[...lists].flat(), ...own])];
}

function* failuresOf(nodes: Facts['nodes']): Generator<Failure> {
  const causes = new Map<TaskNode, readonly string[]>();
  for (const node of nodes.values()) {
    const { status, error } = node;
    if (usable(node) || !isEnd(status)) continue;
    yield {
      id: node.id,
      status,
      error,
      tolerated: isTolerated(node),
      attempts: () => attemptsOf(node).length,
      skippedBecause: () => rootCauses(node, causes),
    };
  }
}

function runReport(facts: Facts, status: RunStatus, counts: Counts): RunReport {
  let { workMs, retries, lost } = facts.forgotten;
  for (const node of facts.nodes.values()) {
    workMs += node.runningMs;
    retries += retriesOf(node);
    lost += node.extra?.lost ?? 0;
  }
  const { runId, workflow, wallMs, seed, subscriberErrors, budgets } = facts;
  const path = criticalPath(facts.nodes);
  let speedUps: readonly SpeedUp[] | undefined;
  const report = {
    runId,
    workflow,
    status,
    wallMs,
    workMs,
    counts: { ...counts },
    retries,
    lost,
    usage: usageOf(facts.nodes.values(), facts.forgotten, facts.elsewhere),
    budgets: budgets.map((state) => ({ ...state, spenders: spendersOf(state, facts.nodes.values()) })),
    criticalPath: path,
    get speedUps(): readonly SpeedUp[] {
      speedUps ??= facts.speedUps(path.tasks);
      return speedUps;
    },
    seed,
    subscriberErrors,
    ...(facts.storeError !== undefined && { storeError: facts.storeError }),
  };
  return Object.defineProperty(report, 'toString', {
    value: () => asText(report, failuresOf(facts.nodes), facts),
  });
}

/** From the task that ended last back along the dependency that ended last: what decided the wall time. */
function criticalPath(nodes: ReadonlyMap<string, TaskNode>): RunReport['criticalPath'] {
  let node: TaskNode | undefined;
  for (const one of nodes.values()) {
    if (one.startedAt < 0) continue;
    const later = node === undefined || one.since > node.since;
    // Within one ms the task further down the graph is the later one.
    if (later || (one.since === node?.since && one.depth > node.depth)) node = one;
  }
  const path: string[] = [];
  let ms = 0;
  while (node !== undefined) {
    path.push(node.id);
    ms += node.runningMs;
    let before: TaskNode | undefined = node.inEdges.length === 0 ? node.parent : undefined;
    for (const edge of node.inEdges) {
      const { from } = edge;
      // Who came second did not hold anybody up.
      if (choiceOf(edge)?.winners.includes(from) === false) continue;
      if (from.startedAt >= 0 && (before === undefined || from.since > before.since)) before = from;
    }
    node = before;
  }
  return { tasks: path.reverse(), ms };
}
