import { RxhiveError, truncate } from '../kernel/errors.js';

/** Who works on an attempt. */
export interface WorkerFacts {
  /** Unique among all workers; also the address of its mailbox. */
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  /** What it is able to do, such as `gpu` or `region=eu`. */
  readonly labels: readonly string[];
  /** Of the agents it has: an order goes only to workers of its version. */
  readonly version: string;
}

/**
 * What became of a worker: `gone` is no process any more, `stalled` has not renewed its lock, `frozen` computes and has
 * not given its event loop back, `forgotten` is one of which the queue knows nothing, as after a restart without its data.
 */
export type WorkerLoss = 'gone' | 'stalled' | 'frozen' | 'forgotten';

const lossMeaning: Record<WorkerLoss, string> = {
  gone: 'has ended',
  stalled: 'has not been heard of',
  frozen: 'has not answered',
  forgotten: 'is not known to the queue any more',
};

/**
 * An attempt was lost with the worker it ran on. Another one follows at once, also without `retry`, until `retry.lost` of
 * the task were lost: then it fails with the last of these.
 */
export class WorkerLostError extends RxhiveError {
  readonly taskId: string;
  readonly attempt: number;
  /** Id of the worker; undefined: it is not known which one had it. */
  readonly worker: string | undefined;
  readonly reason: WorkerLoss;

  constructor(taskId: string, attempt: number, worker: string | undefined, reason: WorkerLoss) {
    const who = worker === undefined ? 'its worker' : `worker "${truncate(worker)}"`;
    super(
      'WORKER_LOST',
      `Attempt ${attempt} of task "${truncate(taskId)}" was lost: ${who} ${lossMeaning[reason]}. Look into the log of that worker; if the task ends its workers, mend the task.`,
      { details: { taskId, attempt, worker, reason } },
    );
    this.taskId = taskId;
    this.attempt = attempt;
    this.worker = worker;
    this.reason = reason;
  }
}
