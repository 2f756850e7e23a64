import { fnv1a } from '../kernel/hash.js';
import { contestOf } from '../model/contest.js';
import type { TaskNode } from '../model/node.js';
import type {
  AnswerRecord,
  CommitRecord,
  FailedRecord,
  LogRecord,
  QuestionRecord,
  StatePatch,
} from '../model/record.js';
import { fit } from '../model/schema.js';
import type { TaskDefinition } from '../model/task.js';

/** What stands for the code of a task: its `version`, else its source text. */
export function codeOf(definition: TaskDefinition): string {
  return definition.version ?? String(definition.run);
}

/** Tells a task from a changed one: its code, and what it depends on. */
export function versionOf(node: TaskNode): string {
  let text = codeOf(node.definition);
  for (const edge of node.inEdges)
    text += `\n${edge.mode}${contestOf(edge)?.need ?? ''} ${edge.key ?? ''} ${edge.from.id}`;
  return fnv1a(text).toString(36);
}

const misfit = 'its stored result does not fit its schema any more';

/** A question in a log, and its answer where it has one. */
export interface PastQuestion {
  readonly record: QuestionRecord;
  answer: AnswerRecord | undefined;
}

/** What a log says about a run that is to go on. */
export class Past {
  /** Commits that still hold, by task, in order of commit. */
  readonly commits = new Map<string, CommitRecord>();
  readonly failures = new Map<string, FailedRecord>();
  /** By id, in the order in which they were asked first. */
  readonly questions = new Map<string, PastQuestion>();
  /** Tasks whose result is not used although it is there, and why. */
  readonly stale = new Map<string, string>();

  constructor(records: readonly LogRecord[]) {
    for (const record of records) {
      if (record.kind === 'run' || record.kind === 'usage') continue;
      if (record.kind === 'dropped') {
        for (const id of record.tasks) this.#forget(id);
        continue;
      }
      if (record.kind === 'question' || record.kind === 'answer') {
        this.#remember(record);
        continue;
      }
      if (record.kind === 'failed') {
        this.failures.set(record.task, record);
        continue;
      }
      // A task that ran again replaces what it did before.
      this.#forget(record.task);
      this.commits.set(record.task, record);
    }
  }

  /**
   * Drops the results of changed tasks, of tasks behind them, of tasks that wrote over what those had written, and
   * of tasks that have to run to bring back a task they added.
   */
  compare(nodes: ReadonlyMap<string, TaskNode>): void {
    for (const [id, record] of this.commits) {
      const node = nodes.get(id);
      const why = node === undefined ? undefined : this.recheck(node);
      if (why !== undefined) this.stale.set(id, why);
      const lost = record.spawned?.find((child) => !this.commits.has(child));
      if (lost !== undefined) this.stale.set(id, `"${lost}", which it adds, has not finished`);
    }
    for (let before = -1; before !== this.stale.size; ) {
      before = this.stale.size;
      this.#spread(nodes);
    }
    for (const id of this.stale.keys()) this.commits.delete(id);
    for (const [id, { version }] of this.failures) {
      const node = nodes.get(id);
      if (node !== undefined && versionOf(node) !== version) this.failures.delete(id);
    }
  }

  /** Did the task end in an earlier process, and does that hold? */
  has(id: string): boolean {
    return this.commits.has(id) || this.failures.has(id);
  }

  /**
   * Why what a task came to before is not used; undefined: it is. Its result is what its schema makes of it now. An
   * answer that comes later is too late here: then the stored result is used as it is.
   */
  recheck(node: TaskNode): string | undefined {
    const commit = this.commits.get(node.id);
    if (versionOf(node) !== (commit ?? this.failures.get(node.id))?.version) return 'it has changed';
    const { result } = node.definition;
    if (commit === undefined || result === undefined) return undefined;
    try {
      const found = fit(result, 'returned' in commit ? commit.returned : commit.value);
      if ('then' in found) found.then(undefined, () => undefined);
      else if ('issues' in found) return misfit;
      else {
        const { spilled: _, ...rest } = commit;
        this.commits.set(node.id, { ...rest, value: found.value });
      }
    } catch {
      return misfit;
    }
    return undefined;
  }

  /** Changes of the state by all commits that hold, in order. */
  patches(): StatePatch[] {
    return [...this.commits.values()].flatMap(({ patches }) => patches ?? []);
  }

  #spread(nodes: ReadonlyMap<string, TaskNode>): void {
    const written: (readonly (string | number)[])[] = [];
    for (const record of this.commits.values()) {
      const node = nodes.get(record.task);
      const above = node?.inEdges.find((edge) => this.stale.has(edge.from.id));
      if (!this.stale.has(record.task) && above !== undefined)
        this.stale.set(record.task, `"${above.from.id}" runs again`);
      const paths = (record.patches ?? []).map(({ path }) => path);
      if (!this.stale.has(record.task) && paths.some((path) => written.some((one) => touches(one, path))))
        this.stale.set(record.task, 'it changed what a task that runs again had written');
      if (this.stale.has(record.task)) written.push(...paths);
    }
  }

  #remember(record: QuestionRecord | AnswerRecord): void {
    const known = this.questions.get(record.id);
    if (record.kind === 'question') this.questions.set(record.id, { record, answer: undefined });
    else if (known !== undefined) known.answer = record;
  }

  #forget(task: string): void {
    this.failures.delete(task);
    this.commits.delete(task);
  }
}

/** One path is the other or lies within it; a place in an array counts as the whole array. */
export function touches(a: readonly (string | number)[], b: readonly (string | number)[]): boolean {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (typeof a[i] === 'number' || typeof b[i] === 'number') return true;
    if (a[i] !== b[i]) return a[i] === 'length' || b[i] === 'length';
  }
  return true;
}
