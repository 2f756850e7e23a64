import type { AttemptHandle, TaskNode } from '../graph/node.js';
import type { SchedulerPorts } from '../graph/ports.js';
import type { RxhiveError } from '../kernel/errors.js';

/** What {@link Commits} may ask of the scheduler, the only writer of status. */
export interface CommitMoves {
  /** The task has its result. */
  succeed(node: TaskNode, status: 'succeeded' | 'restored'): void;
  fail(node: TaskNode, error: unknown): void;
  /** The body runs again with what it reads now. */
  rerun(node: TaskNode): void;
  /** Nothing outside may end the task any more: its record may be in the log. */
  shield(node: TaskNode): void;
  /** Runs `work` in the drain loop. */
  command(work: () => void): void;
}

/** The way from the success of a body to that of its task: now, when the log has it, or not at all. */
export class Commits {
  readonly #commit: SchedulerPorts['commit'];
  readonly #moves: CommitMoves;

  constructor(commit: SchedulerPorts['commit'], moves: CommitMoves) {
    this.#commit = commit;
    this.#moves = moves;
  }

  /** `attempt` is over and has given everything back; its value is the task's result if the commit works. */
  begin(node: TaskNode, attempt: AttemptHandle, value: unknown): void {
    node.value = value;
    const { calls } = node;
    let outcome: ReturnType<SchedulerPorts['commit']>;
    try {
      outcome = this.#commit(node, attempt, (error) =>
        this.#moves.command(() => {
          if (outcome !== 'wait') this.#durable(node, error);
          else if (node.status === 'running' && node.running === undefined && node.calls === calls)
            this.begin(node, attempt, value);
          // It was ended, or begins anew.
          else attempt.reads?.close();
        }),
      );
    } catch (error) {
      this.#lost(node, error);
      return;
    }
    if (outcome === 'wait') node.value = undefined;
    else if (outcome === 'rerun') {
      node.value = undefined;
      this.#moves.rerun(node);
    } else if (outcome === 'later') {
      node.committing = true;
      this.#moves.shield(node);
    } else this.#moves.succeed(node, outcome === 'restored' ? 'restored' : 'succeeded');
  }

  /** The log has the task's success, or will never have it. */
  #durable(node: TaskNode, error: RxhiveError | undefined): void {
    node.committing = false;
    if (error === undefined) this.#moves.succeed(node, 'succeeded');
    else this.#lost(node, error);
  }

  #lost(node: TaskNode, error: unknown): void {
    node.value = undefined;
    this.#moves.fail(node, error);
  }
}
