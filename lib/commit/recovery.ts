import { canonical } from '../codec/canonical.js';
import { choiceOf } from '../graph/choice-state.js';
import type { TaskNode } from '../graph/node.js';
import type { Recalled, Watch } from '../graph/ports.js';
import type { Replay } from '../graph/replay.js';
import {
  inspect,
  RxhiveError,
  TaskSkippedError,
  truncate,
  WorkflowCancelledError,
} from '../kernel/errors.js';
import { type MaybePromise, thenMaybe } from '../kernel/maybe-promise.js';
import type { RetryOptions } from '../model/policy.js';
import type { CommitRecord, FailedRecord, LogRecord, RunRecord } from '../model/record.js';
import { UsageLedger } from './ledger.js';
import type { RunFacts } from './log-options.js';
import { ReplayedLog, type Resumed, stateOf, versionFrom } from './resume.js';
import { Revival, type RevivalPorts } from './revival.js';
import { staleTasks } from './staleness.js';
import type { State } from './state.js';
import { Tries } from './tries.js';

/** What going on needs of the run. */
export interface RecoveryPorts extends RevivalPorts {
  /** Retry of tasks that say nothing. */
  readonly retry: number | RetryOptions | undefined;
  readonly watch: Watch;
  /** Ms as the run's clock counts. */
  time(): number;
  /** Results that are not used any more; `stays`: what they had written is not taken back. */
  drop(tasks: readonly string[], stays: boolean): void;
}

/** A run that goes on: what of its log holds, what runs again, and what comes back of tasks that were added. */
export class Recovery {
  readonly past: ReplayedLog;
  readonly ledger: UsageLedger;
  readonly tries: Tries;
  readonly #ports: RecoveryPorts;
  readonly #revival: Revival;
  /** Closures that did not come back, and why. */
  readonly #lost = new Map<string, RxhiveError>();
  #places: ReadonlyMap<string, number> | undefined;
  /** Tasks that had failed and run again. */
  #retried: ReadonlySet<string> = new Set();

  constructor(records: readonly LogRecord[], ports: RecoveryPorts) {
    this.past = new ReplayedLog(records);
    this.ledger = new UsageLedger(records);
    this.tries = new Tries(records);
    this.#ports = ports;
    this.#revival = new Revival(this.past, ports);
  }

  /**
   * Compares the log with the run that goes on, restores the state, and brings tasks back.
   * @throws RxhiveError INVALID_INPUT, INVALID_OPTION; CheckpointCorruptError
   */
  begin(records: readonly LogRecord[], facts: RunFacts, state: State): MaybePromise<Resumed> {
    const { workflow, input } = facts;
    const first = records[0] as RunRecord;
    if (first.workflow !== workflow) {
      const message = `The log is of workflow ${inspect(first.workflow)}, this is "${truncate(workflow)}"; use another runId.`;
      throw new RxhiveError('INVALID_OPTION', message);
    }
    if (input !== undefined && canonical(first.input) !== canonical(input.value)) {
      throw new RxhiveError(
        'INVALID_INPUT',
        'The run began with another input; give the same, or another runId.',
      );
    }
    const { nodes } = this.#ports;
    const added = this.#revival.read();
    const unknown = facts.rerun.find(
      (id) =>
        !nodes.has(id) && !added.has(id) && !records.some((one) => one.kind === 'commit' && one.task === id),
    );
    if (unknown !== undefined)
      throw new RxhiveError(
        'INVALID_OPTION',
        `rerun names ${inspect(unknown)}, which is no task; check the id.`,
      );
    return thenMaybe(this.past.check(nodes), () => this.#compared(records, facts, state));
  }

  #compared(
    records: readonly LogRecord[],
    { runId, state: initial, retryFailed, rerun }: RunFacts,
    state: State,
  ): Resumed {
    const { past } = this;
    const { nodes } = this.#ports;
    const failures = retryFailed ? [...past.failures.values()] : [];
    const retried = new Set(failures.filter((one) => this.#mayRetry(one)).map(({ task }) => task));
    const own = (id: string, record: CommitRecord | FailedRecord): string | undefined =>
      this.#changed(id, record);
    past.drop(staleTasks(past, { nodes, added: this.#revival.added, own, rerun, retried }));
    // Noted before anything runs: a crash before they have all run again must not bring old results back.
    if (past.stale.size > 0) this.#ports.drop([...past.stale.keys()], false);
    for (const id of retried) if (!past.failures.delete(id)) retried.delete(id);
    this.#retried = retried;
    // Noted too: who suspends or crashes while it runs again has not failed.
    if (retried.size > 0) this.#ports.drop([...retried], false);
    state.restore(stateOf(runId, records, initial, past));
    const restored = past.commits.size;
    this.#revival.begin();
    return {
      restored,
      rerun: [...past.stale].map(([taskId, { reason }]) => ({ taskId, because: reason })),
      spent: this.ledger.groups,
      questions: past.questions,
      messages: records.filter(
        (one) => one.kind === 'message' || one.kind === 'reply' || one.kind === 'reader',
      ),
      retried,
      missing: this.#revival.missing(),
      retries: this.tries.retries,
      input: (records[0] as RunRecord).input,
    };
  }

  /** A competitor of a race has lost for good, and so has a candidate where another one won; a decision is no failure. */
  #mayRetry({ task, reason }: FailedRecord): boolean {
    const { candidate, parent = '' } = this.#revival.added.get(task) ?? {};
    return (
      reason !== 'lost' && reason !== 'condition' && !(candidate === true && this.past.commits.has(parent))
    );
  }

  #changed(id: string, record: CommitRecord | FailedRecord): string | undefined {
    const node = this.#ports.nodes.get(id);
    if (node !== undefined) return this.past.changed(node);
    const added = this.#revival.added.get(id);
    const definition = added && this.#revival.comparable(added);
    if (definition === undefined) return undefined;
    return versionFrom(definition, added?.dependencies ?? []) === record.version
      ? undefined
      : 'it has changed';
  }

  /** Gives a task the end it had before; undefined when it has to run, if only to bring back what it had added. */
  recall(node: TaskNode): Recalled | undefined {
    this.ledger.bill(node);
    const end = this.#endOf(node);
    const replay =
      this.#revival.replayOf(node.id) ?? (end === 'restored' ? this.#feedsAgain(node) : undefined);
    this.#revival.comeWith(node);
    if (end !== undefined) this.#revival.bringBack([node.id]);
    if (end !== undefined && (replay === undefined || end === 'skipped')) return end;
    if (node.calls > 0) node.more().loggedCalls = node.calls;
    if (end !== undefined) {
      const { error } = node;
      node.more().replay = { ...(replay as NonNullable<typeof replay>), end: end as Replay['end'], error };
      this.#revival.forget(node.id);
      return undefined;
    }
    if (this.past.again.has(node.id)) node.more().again = true;
    if (node.definition.remote === true && !this.past.stale.has(node.id) && !this.#retried.has(node.id))
      node.more().underWay = true;
    const poison = this.tries.restore(node, this.#ports.time(), this.#ports.retry);
    if (poison !== undefined) node.error = poison;
    return poison && 'failed';
  }

  /** Keys of the items of each batch of a task whose end holds. */
  *batchesOf(task: string): Generator<readonly string[]> {
    for (const ends of [this.past.commits, this.past.failures])
      for (const { parent, item } of ends.values()) {
        const keys: unknown = parent === task ? item?.keys : undefined;
        if (Array.isArray(keys) && keys.every((key) => typeof key === 'string')) yield keys;
      }
  }

  /** Who takes or reads its items has not ended: it gives them again, and its result holds. */
  #feedsAgain(node: TaskNode): Omit<Replay, 'end' | 'error'> | undefined {
    if (node.definition.feeds !== true) return undefined;
    const again = { body: true, handlers: false, wanted: new Set<string>() };
    const behind = new Set([node]);
    for (const one of behind) {
      if ((one.extra?.readers?.size ?? 0) > 0) return again;
      for (let edge = one.firstOut; edge !== undefined; edge = edge.nextOut) {
        if (edge.mode !== 'items') continue;
        if (!this.past.has(edge.to.id)) return again;
        behind.add(edge.to);
      }
    }
    return undefined;
  }

  /** A task has ended without adding again what it had added before: it lost, say. What has ended of that comes back. */
  ended({ id }: TaskNode): void {
    for (const one of this.#revival.bringBack([id], true)) this.#miss([one.id], one.parent ?? id, undefined);
  }

  #endOf(node: TaskNode): Recalled | undefined {
    const { past } = this;
    const lost = this.#lost.get(node.id);
    if (lost !== undefined) {
      node.error = lost;
      return 'failed';
    }
    if (!past.has(node.id)) return undefined;
    const above = node.inEdges.find((edge) => past.stale.has(edge.from.id));
    const why =
      above !== undefined
        ? `"${above.from.id}" runs again`
        : this.#revival.known.has(node.id)
          ? undefined
          : past.recheck(node);
    if (why !== undefined) {
      // What they had written is in the state already, and others may have built on it.
      const again = this.#revival.withAdded(node.id);
      this.#ports.drop(again, true);
      const rerun = again.map((taskId) => ({ taskId, because: why }));
      if (this.#ports.watch.active) this.#ports.watch.emit({ type: 'run', reason: 'rerun', rerun });
      for (const id of again) {
        if (past.commits.delete(id)) past.again.add(id);
        past.failures.delete(id);
        past.stale.set(id, { reason: why, keeps: false });
      }
      return undefined;
    }
    const failure = past.failures.get(node.id);
    if (failure === undefined) {
      this.#remember(node);
      return 'restored';
    }
    const { status = 'failed' } = failure;
    node.error = errorOf(failure);
    return status;
  }

  /** A race or quorum counts in the order in which its tasks had ended. */
  #remember(node: TaskNode): void {
    let takesPart = node.parent !== undefined;
    for (let edge = node.firstOut; edge !== undefined && !takesPart; edge = edge.nextOut)
      takesPart = choiceOf(edge) !== undefined;
    if (!takesPart) return;
    this.#places ??= new Map([...this.past.commits.keys()].map((id, place) => [id, place]));
    node.more().place = this.#places.get(node.id);
  }

  /** The replay of `node` is over. What has not come back has failed, where the run goes on. */
  replayed(node: TaskNode, goesOn: boolean, cause: unknown): void {
    const { wanted = new Set<string>() } = node.extra?.replay ?? {};
    node.more().replay = undefined;
    const back = [...(goesOn ? wanted : [])].filter((id) => !this.#ports.nodes.has(id));
    this.#miss(back, node.id, cause);
  }

  /** Puts tasks that nobody adds again in the graph: what had ended holds, the rest has failed. */
  #miss(ids: readonly string[], parent: string, cause: unknown): void {
    if (ids.length === 0) return;
    for (const id of ids) {
      // Its result holds all the same.
      if (this.past.has(id)) continue;
      const message = `Task "${truncate(id)}" had not finished, and "${truncate(parent)}", which had added it, did not add it again. Let it add the same tasks again (ctx.replaying holds its result), or make it a flow.taskType.`;
      this.#lost.set(
        id,
        new RxhiveError('CHILD_MISSING', message, { cause, details: { taskId: id, parent } }),
      );
    }
    this.#revival.standIn(ids, parent);
  }
}

/** What a task ended with that did not succeed. */
function errorOf({ task, status, reason, error }: FailedRecord): unknown {
  if (status === 'cancelled')
    return new WorkflowCancelledError(reason === 'lost' ? 'lost' : 'cancelled', error);
  if (reason !== 'condition') return error;
  const { details } = error as {
    readonly details?: { readonly taskId?: unknown; readonly because?: unknown };
  };
  return new TaskSkippedError(String(details?.taskId ?? task), String(details?.because ?? 'its condition'));
}
