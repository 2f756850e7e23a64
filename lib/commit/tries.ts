import type { TaskNode } from '../graph/node.js';
import { RxhiveError, truncate } from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import { mostLostOf, type RetryOptions } from '../model/policy.js';
import type { LogRecord } from '../model/record.js';

const progress: ReadonlySet<string> = new Set([
  'commit',
  'failed',
  'attempt',
  'question',
  'answer',
  'message',
  'reply',
]);

/** What a task that has not ended has tried. */
interface Try {
  /** Attempts that failed. */
  failed: number;
  /** Those of them that were lost with their worker. */
  workersLost: number;
  /** Attempts, one after the other, that ended with a process that had got nothing done. */
  lost: number;
  /** One is under way. */
  open: boolean;
  /** When the next may begin, as the run's clock counts. */
  until: number;
}

/** What tasks that have not ended have tried in earlier processes, as a log tells. */
export class Tries {
  /** Attempts that failed and were followed by others, of all tasks. */
  retries = 0;
  /** The process before did not end by itself. */
  died = false;
  /** So many processes, one after the other, have died without having got anything done. */
  deaths = 0;
  /** The process has got something done. */
  #further = false;
  readonly #tasks = new Map<string, Try>();
  /** Tasks that had begun and have not succeeded since. */
  readonly #begun = new Set<string>();

  constructor(records: readonly LogRecord[]) {
    for (const record of records) {
      if (progress.has(record.kind)) this.#further = true;
      this.died = record.kind !== 'stopped' && !(record.kind === 'run' && record.from !== undefined);
      this.#follow(record);
      if (record.kind === 'begun')
        for (const [task, attempt] of record.tasks) this.#of(task).open = attempt > 0;
      else if (record.kind === 'attempt') {
        const one = this.#of(record.task);
        Object.assign(one, { failed: record.attempt, open: false, until: record.until });
        if (record.lost === true) one.workersLost += 1;
        else this.retries += 1;
      } else if (record.kind === 'resumed') this.#end(true);
      else if (record.kind === 'stopped') this.#end(false);
      else if (record.kind === 'commit' || record.kind === 'failed') this.#tasks.delete(record.task);
      else if (record.kind === 'dropped') for (const task of record.tasks) this.#tasks.delete(task);
    }
    this.#end(this.died);
  }

  /** Gives a task the attempts it has behind it; an error where it has ended too many processes. */
  restore(node: TaskNode, now: number, fallback: number | RetryOptions | undefined): RxhiveError | undefined {
    const found = this.#tasks.get(node.id);
    if (found === undefined) return undefined;
    const { failed, lost, workersLost, until } = found;
    node.attempt = failed;
    if (workersLost > 0) node.more().lost = workersLost;
    if (until > now) node.more().backoffLeft = until - now;
    // What runs elsewhere did not end this process, and may be under way still.
    if (node.definition.remote === true) return undefined;
    if (lost < mostLostOf(node.definition.retry ?? fallback)) return undefined;
    const message = `Task "${truncate(node.id)}" was under way when its process ended, ${lost === 1 ? 'once' : `${lost} times in a row`}. Find out whether it ends the process; retry: 'failed' tries it again.`;
    return new RxhiveError('ATTEMPT_LOST', message, { details: { taskId: node.id, lost } });
  }

  /** Had an earlier process begun with a task, as far as the log knows? */
  hadBegun(task: string): boolean {
    return this.#begun.has(task);
  }

  #follow(record: LogRecord): void {
    if (record.kind === 'begun') for (const [task] of record.tasks) this.#begun.add(task);
    else if (record.kind === 'attempt' || record.kind === 'question') this.#begun.add(record.task);
    else if (record.kind === 'message' || record.kind === 'reply') this.#begun.add(record.from);
    else if (record.kind === 'commit') this.#begun.delete(record.task);
  }

  #of(task: string): Try {
    return getOrInsert(this.#tasks, task, () => ({
      failed: 0,
      workersLost: 0,
      lost: 0,
      open: false,
      until: 0,
    }));
  }

  /** A process has ended: with what was under way, or after it had been stopped. */
  #end(lost: boolean): void {
    this.deaths = lost && !this.#further ? this.deaths + 1 : 0;
    for (const one of this.#tasks.values()) {
      // Whoever got others further has not ended the process over and over.
      if (one.open) one.lost = lost && !this.#further ? one.lost + 1 : 0;
      one.open = false;
    }
    this.#further = false;
  }
}
