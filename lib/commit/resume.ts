import { canonical, contentText } from '../codec/canonical.js';
import { ChoiceState } from '../graph/choice-state.js';
import type { TaskNode } from '../graph/node.js';
import { CheckpointCorruptError, inspect, RxhiveError, truncate } from '../kernel/errors.js';
import { callUser } from '../kernel/guard.js';
import { fnv1a } from '../kernel/hash.js';
import { isPromise, type MaybePromise, thenMaybe } from '../kernel/maybe-promise.js';
import type { DependencyMode } from '../model/dependency.js';
import type {
  AddedDependency,
  AddedTask,
  AnswerRecord,
  CommitRecord,
  FailedRecord,
  LogRecord,
  PastMessage,
  PastQuestion,
  QuestionRecord,
  RunRecord,
  StatePatch,
  StatePath,
} from '../model/record.js';
import { type Validation, validate } from '../model/schema.js';
import type { TaskDefinition } from '../model/task.js';
import type { Spending } from '../model/usage.js';
import { versionText } from './added.js';
import { patched } from './state.js';

/** What stands for the code of a task: its `version`, else its source text. */
export function codeOf({ code, version, run, when }: TaskDefinition): string {
  return callUser(
    'version',
    () => code?.() ?? version ?? (when === undefined ? String(run) : `${String(when)}\n${String(run)}`),
  );
}

/** Tells a task from a changed one: its code, the data it works on where a log knows it, and what it depends on. */
export function versionOf(node: TaskNode): string {
  return versionFrom(
    node.definition,
    node.inEdges.map(({ mode, key, from, fallback }) => ({
      id: from.id,
      mode: mode as DependencyMode,
      ...(key !== undefined && { key }),
      ...(fallback instanceof ChoiceState && { need: fallback.need }),
    })),
  );
}

/** The same for a task that is not in the graph. */
export function versionFrom(definition: TaskDefinition, dependencies: readonly AddedDependency[]): string {
  const { stored, loop } = definition;
  let own = '';
  if (stored?.passed === true) own = `\n${contentText(stored.data)}`;
  else if (stored?.type !== undefined && stored.lenient !== true) own = `\n${canonical(stored.data)}`;
  const version = fnv1a(versionText(codeOf(definition) + own, dependencies)).toString(36);
  return loop === undefined ? version : `${version}.${fnv1a(loop.until).toString(36)}`;
}

/** Is it a loop of which nothing has changed but what decides its end? Its turns hold. */
export function onlyEndsElse(node: TaskNode | undefined, { version }: { readonly version: string }): boolean {
  if (node?.definition.loop === undefined) return false;
  const [turns, until] = versionOf(node).split('.');
  const [before, ended] = version.split('.');
  return turns === before && until !== ended;
}

/** A task that was added at run time, as a log tells of it. */
export interface Added extends AddedTask {
  /** Undefined: it was added from outside. */
  readonly parent: string | undefined;
  readonly item?: { readonly data?: unknown; readonly keys?: readonly string[] } | undefined;
}

/** How a run that goes on differs from a new one. */
export interface Resumed {
  /** Tasks whose results are used again. */
  readonly restored: number;
  /** Tasks that had finished and run again, and why. */
  readonly rerun: readonly { readonly taskId: string; readonly because: string }[];
  /** What earlier processes have used, by group; undefined: tasks without one. */
  readonly spent: ReadonlyMap<string | undefined, Spending>;
  /** What it has asked people. */
  readonly questions: ReadonlyMap<string, PastQuestion>;
  /** What was said between tasks, in order. */
  readonly messages: readonly PastMessage[];
  /** Tasks that had failed and run again. */
  readonly retried: ReadonlySet<string>;
  /** Ids of tasks of the log that are not there: they, or who added them, were closures that are not defined any more. */
  readonly missing: readonly string[];
  /** Attempts that failed and were followed by others. */
  readonly retries: number;
  /** The input of the log. */
  readonly input: unknown;
}

/** Why the end of a task does not hold any more. */
export interface Stale {
  readonly reason: string;
  /** What it added stays: it runs again only for what others come to. */
  readonly keeps: boolean;
}

/** What a log says about a run that is to go on. */
export class ReplayedLog {
  /** Commits that still hold, by task, in order of commit. */
  readonly commits = new Map<string, CommitRecord>();
  readonly failures = new Map<string, FailedRecord>();
  /** Commits of tasks that cleaned up when the run ended early, and nothing has begun since. */
  readonly cleaned = new Map<string, CommitRecord>();
  /** By id, in the order in which they were asked first. */
  readonly questions = new Map<string, PastQuestion>();
  /** Tasks of registered bodies that were added from outside. */
  readonly outside = new Map<string, AddedTask>();
  /** Tasks that had succeeded, and run again. */
  readonly again = new Set<string>();
  /** Tasks whose result is not used although it is there, and why. */
  readonly stale = new Map<string, Stale>();
  /** The state that a record holds as a whole; undefined: none does. */
  #base: { readonly state: unknown } | undefined;
  /** Commits whose changes come after the base, in order. */
  readonly #writes = new Set<CommitRecord>();
  /** Parts that a fork was given since a commit: there it is not taken back any more. */
  readonly #given = new Map<CommitRecord, readonly StatePath[]>();
  /** Takes changes back that are in the base. */
  readonly #undo: StatePatch[] = [];
  /** What the schemas of today make of stored results. */
  readonly #validations = new Map<string, Validation<unknown> | 'unfit'>();

  constructor(records: readonly LogRecord[]) {
    for (const record of records) {
      if (record.kind === 'dropped') {
        // Of what was dropped before a log was compacted, only those that had succeeded are named.
        for (const id of record.tasks) if (!this.failures.has(id)) this.again.add(id);
        this.#forgetAll(record.tasks, record.stays === true);
      } else if (record.kind === 'failed') this.failures.set(record.task, record);
      else if (record.kind === 'added') for (const one of record.tasks) this.outside.set(one.id, one);
      else if (record.kind === 'state') this.#restart(record.state, record.given ?? []);
      else if (record.kind === 'question' || record.kind === 'answer') this.#remember(record);
      else if (record.kind === 'resumed') this.cleaned.clear();
      else if (record.kind === 'commit') {
        // A task that ran again replaces what it did before.
        this.#forgetAll([record.task], false);
        (record.cleanup === true ? this.cleaned : this.commits).set(record.task, record);
        this.again.delete(record.task);
        if (record.patches !== undefined) this.#writes.add(record);
      }
    }
  }

  /**
   * Asks the schemas of tasks about their stored results, for {@link ReplayedLog.compare}; late where one of them answers
   * later.
   */
  check(nodes: ReadonlyMap<string, TaskNode>): MaybePromise<void> {
    const late: PromiseLike<void>[] = [];
    for (const id of this.commits.keys()) {
      const node = nodes.get(id);
      const answer = node === undefined ? undefined : this.#validate(node);
      if (isPromise(answer)) late.push(answer);
    }
    return late.reduce<MaybePromise<void>>((before, one) => thenMaybe(before, () => one), undefined);
  }

  /** Who added which task, as far as records that hold tell. */
  added(): Map<string, Added> {
    const found = new Map<string, Added>();
    const ends = [...this.commits.values(), ...this.failures.values()];
    for (const { task, spawned = [] } of ends)
      for (const one of spawned)
        found.set(typeof one === 'string' ? one : one.id, {
          ...(typeof one === 'string' ? { id: one } : one),
          parent: task,
        });
    for (const { task, parent, item, added } of ends)
      if (parent !== undefined && !found.has(task)) found.set(task, { ...added, id: task, parent, item });
    for (const [id, one] of this.outside) if (!found.has(id)) found.set(id, { ...one, parent: undefined });
    return found;
  }

  /**
   * Drops the ends of tasks that changed or are to run again, and of all that goes back to them.
   * @throws RxhiveError INVALID_OPTION where what was written cannot be taken back
   */
  drop(stale: ReadonlyMap<string, Stale>): void {
    for (const [id, { reason }] of stale) {
      const record = this.commits.get(id);
      if (record !== undefined) this.again.add(id);
      if (record !== undefined || this.failures.has(id)) this.stale.set(id, stale.get(id) as Stale);
      if (record?.wrote === undefined || this.pathsOf(record).length === 0) continue;
      const message = `Task "${truncate(id)}" would run again (${reason}), but the log was compacted since it had written a large part of the state, which cannot be taken back. Give it the version it had, or fork the run with a state.`;
      throw new RxhiveError('INVALID_OPTION', message);
    }
    this.#forgetAll([...this.stale.keys()], false);
  }

  /** Did the task end in an earlier process, and does that hold? */
  has(id: string): boolean {
    return this.commits.has(id) || this.failures.has(id);
  }

  /**
   * Why what a task came to before is not used; undefined: it is. Asked for tasks that are added at run time: a schema
   * that answers later is too late for them, then the stored result is used as it is.
   */
  recheck(node: TaskNode): string | undefined {
    this.#validate(node);
    return this.changed(node);
  }

  /** The result of a commit that holds, as the task's schema of today makes it. */
  resultOf(record: CommitRecord): unknown {
    const found = this.#validations.get(record.task);
    return typeof found === 'object' && 'value' in found ? found.value : record.value;
  }

  /** Where its result is kept; undefined: in the record, or as a schema has made it. */
  spilledOf(record: CommitRecord): string | undefined {
    return this.#validations.has(record.task) ? undefined : record.spilled;
  }

  /** The state of all commits that hold. What does not apply is thrown. */
  state(initial: unknown): unknown {
    const patches = [...this.#writes].flatMap((record) => record.patches ?? []);
    return patched(this.#base === undefined ? initial : this.#base.state, [...this.#undo, ...patches]);
  }

  /** Where a commit wrote, but for parts that a fork was given since. */
  pathsOf(record: CommitRecord): readonly StatePath[] {
    return pathsOf(record).filter((path) => this.#free(record, path));
  }

  /** Takes a commit back, but for parts that a fork was given since. */
  inverseOf(record: CommitRecord): readonly StatePatch[] {
    return (record.inverse ?? []).filter(({ path }) => this.#free(record, path));
  }

  #validate(node: TaskNode): MaybePromise<void> {
    const { result } = node.definition;
    const commit = this.commits.get(node.id);
    if (result === undefined || commit === undefined) return undefined;
    const keep = (found: Validation<unknown> | 'unfit'): void => void this.#validations.set(node.id, found);
    try {
      const found = validate(result, 'returned' in commit ? commit.returned : commit.value);
      if (isPromise(found)) return found.then(keep, () => keep('unfit'));
      keep(found);
    } catch {
      keep('unfit');
    }
    return undefined;
  }

  /** Why what a task of the graph came to is not what it would come to now. */
  changed(node: TaskNode): string | undefined {
    const record = this.commits.get(node.id) ?? this.failures.get(node.id);
    if (versionOf(node) !== record?.version) return 'it has changed';
    const found = this.#validations.get(node.id);
    const unfit = found !== undefined && (found === 'unfit' || 'issues' in found);
    return unfit ? 'its stored result does not fit its schema any more' : undefined;
  }

  #remember(record: QuestionRecord | AnswerRecord): void {
    const known = this.questions.get(record.id);
    if (record.kind === 'question') this.questions.set(record.id, { record, answer: undefined });
    else if (known !== undefined) known.answer = record;
  }

  #restart(state: unknown, given: readonly StatePath[]): void {
    this.#base = { state };
    this.#writes.clear();
    this.#undo.length = 0;
    if (given.length === 0) return;
    for (const record of this.commits.values())
      this.#given.set(record, [...(this.#given.get(record) ?? []), ...given]);
  }

  #free(record: CommitRecord, path: StatePath): boolean {
    return this.#given.get(record)?.some((one) => touches(one, path)) !== true;
  }

  /** Last commit first, so that each change is taken back from the state it had left. */
  #forgetAll(tasks: readonly string[], stays: boolean): void {
    const order = tasks.length > 1 ? new Map([...this.commits.keys()].map((id, i) => [id, i])) : undefined;
    const place = (id: string): number => order?.get(id) ?? -1;
    for (const id of order === undefined ? tasks : [...tasks].sort((a, b) => place(b) - place(a))) {
      this.failures.delete(id);
      const record = this.commits.get(id);
      if (record === undefined) continue;
      this.commits.delete(id);
      if (!stays && !this.#writes.delete(record)) this.#undo.push(...this.inverseOf(record));
    }
  }
}

/** The first record of a log. @throws RxhiveError INVALID_OPTION where it is not of that workflow, or there is none */
export function runOf(records: readonly LogRecord[], runId: string, workflow: string): RunRecord {
  const first = records[0];
  if (first?.kind === 'run' && first.workflow === workflow) return first;
  const message =
    first?.kind === 'run'
      ? `Run "${truncate(runId)}" is of workflow ${inspect(first.workflow)}, not "${truncate(workflow)}"; ask that one.`
      : `There is no run "${truncate(runId)}" in the store; check the id.`;
  throw new RxhiveError('INVALID_OPTION', message);
}

/** The state that records leave. @throws CheckpointCorruptError naming the first record that does not apply */
export function stateOf(
  runId: string,
  records: readonly LogRecord[],
  initial: unknown,
  past = new ReplayedLog(records),
): unknown {
  try {
    return past.state(initial);
  } catch (error) {
    let count = 1;
    for (; count < records.length; count++) if (!applies(records.slice(0, count), initial)) break;
    const why = `its changes do not apply, unless the workflow's initial state is another one now: ${(error as Error).message}`;
    throw new CheckpointCorruptError(runId, count, why);
  }
}

function applies(records: readonly LogRecord[], initial: unknown): boolean {
  try {
    new ReplayedLog(records).state(initial);
    return true;
  } catch {
    return false;
  }
}

/** Where a commit wrote. */
export function pathsOf({ patches, inverse, wrote }: CommitRecord): readonly StatePath[] {
  return (patches ?? inverse)?.map(({ path }) => path) ?? wrote ?? [];
}

/** One path is the other or lies within it; a place in an array counts as the whole array. */
export function touches(a: StatePath, b: StatePath): boolean {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (typeof a[i] === 'number' || typeof b[i] === 'number') return true;
    if (a[i] !== b[i]) return false;
  }
  return true;
}
