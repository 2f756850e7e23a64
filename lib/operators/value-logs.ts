import { inspect, RxhiveError } from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import type { CheckpointStore } from '../model/store.js';
import type { TaskRun } from './task-run.js';

/** Which log it is. */
export interface LogAddress {
  readonly store: CheckpointStore | string;
  /** Of the run: `runId` and name of the operator. */
  readonly runId: string;
  /** Of the operator. */
  readonly name: string;
}

/** A run that takes tasks in until it is closed. */
export interface OpenRun extends Omit<TaskRun, 'leave'> {
  /** It ends when its tasks have ended. */
  close(): void;
}

/** Begins a run; `ended`: its log is closed, or could not be opened or written. @throws RxhiveError */
export type BeginRun = (address: LogAddress, ended: (error?: unknown) => void) => OpenRun;

/** A log that is open, or being closed. */
interface OpenLog {
  run: OpenRun | undefined;
  closing: boolean;
  /** Who waits until it is closed, the user of it first. */
  readonly waiting: ((error?: unknown) => void)[];
}

/** Logs of values: each is open while somebody uses it, for one at a time. */
export class ValueLogs {
  readonly #begin: BeginRun;
  readonly #open = new Map<CheckpointStore | string, Map<string, OpenLog>>();

  constructor(begin: BeginRun) {
    this.#begin = begin;
  }

  /**
   * Opens a log: at once, or when the one who had it before has closed it. `failed`: it cannot be opened, or, later, not
   * written any more; RxhiveError INVALID_OPTION where somebody has it.
   */
  open(address: LogAddress, ready: (run: TaskRun) => void, failed: (error: unknown) => void): void {
    const logs = getOrInsert(this.#open, address.store, () => new Map<string, OpenLog>());
    const other = logs.get(address.runId);
    if (other?.closing === true) {
      other.waiting.push(() => this.open(address, ready, failed));
      return;
    }
    if (other !== undefined) {
      failed(inUse(address));
      return;
    }
    const log: OpenLog = { run: undefined, closing: false, waiting: [] };
    logs.set(address.runId, log);
    const ended = (error?: unknown): void => {
      logs.delete(address.runId);
      if (logs.size === 0) this.#open.delete(address.store);
      if (!log.closing && error !== undefined) failed(error);
      for (const tell of log.waiting) tell(error);
    };
    let run: OpenRun;
    try {
      run = this.#begin(address, ended);
    } catch (error) {
      ended(error);
      return;
    }
    log.run = run;
    ready({
      offer: (...task) => run.offer(...task),
      get ahead() {
        return run.ahead;
      },
      drop: (node, why) => run.drop(node, why),
      leave: (done) => {
        log.closing = true;
        if (logs.get(address.runId) !== log) {
          done();
          return;
        }
        log.waiting.unshift(done);
        run.close();
      },
    });
  }

  /** No more values come: each is closed when those it has been given have ended. */
  close(): void {
    for (const logs of this.#open.values()) for (const { run } of logs.values()) run?.close();
  }
}

function inUse({ runId, name }: LogAddress): RxhiveError {
  const message = `Another stream writes to the log ${inspect(runId)} of "${name}"; give each a runId of its own.`;
  return new RxhiveError('INVALID_OPTION', message);
}
