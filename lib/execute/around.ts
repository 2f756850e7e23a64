import type { TaskContext } from '../model/context.js';
import type { AttemptCall, Middleware, RunCall, TaskCall, TaskEnd } from '../model/middleware.js';
import type { TaskNode } from '../model/node.js';
import type { WorkflowResult } from '../model/result.js';
import type { RunOptions } from '../model/run-options.js';
import type { WorkflowDefinition } from '../model/workflow.js';

type End<T> = (end: T) => void;

/** The middleware of a run, outermost first. */
export class Around {
  readonly #list: readonly Middleware[];
  readonly #run: RunCall;
  readonly #failed: (error: unknown) => void;
  readonly #tasks = new Map<TaskNode, readonly End<TaskEnd>[]>();
  #runEnds: readonly End<WorkflowResult>[] = [];

  /** `failed` is told what the hooks around runs and tasks throw. */
  constructor(
    { middleware: ofRun = [] }: Pick<RunOptions, 'middleware'>,
    { settings }: WorkflowDefinition,
    runId: string,
    failed: (error: unknown) => void,
  ) {
    this.#list = [...ofRun, ...(settings.middleware ?? [])];
    this.#run = { runId, workflow: settings.name };
    this.#failed = failed;
  }

  /** The run begins. */
  begin(): void {
    this.#runEnds = this.#call((one) => one.run?.(this.#run));
  }

  /** The run has ended. */
  end(result: WorkflowResult): void {
    this.#close(this.#runEnds, result);
  }

  /** What the body returns, through all of the middleware. */
  attempt(node: TaskNode, ctx: TaskContext, inputs: unknown): unknown {
    const body = (given: unknown): unknown => node.definition.run(given as never, ctx as never);
    if (this.#list.length === 0) return body(inputs);
    // An attempt beside another one belongs to the same task.
    const { principal } = node;
    const task = this.#taskOf(principal);
    if (!this.#tasks.has(principal))
      this.#tasks.set(
        principal,
        this.#call((one) => one.task?.(task)),
      );
    const call = (at: number, given: unknown): unknown => {
      const one = this.#list[at];
      if (one === undefined) return body(given);
      if (one.attempt === undefined) return call(at + 1, given);
      const own: AttemptCall = { ...task, attempt: node.attempt, inputs: given, ctx };
      return one.attempt(own, (other) => call(at + 1, other === undefined ? given : other));
    };
    return call(0, inputs);
  }

  /** A task has ended. */
  ended(node: TaskNode): void {
    const ends = this.#tasks.get(node);
    if (ends === undefined) return;
    this.#tasks.delete(node);
    const { status, value, error } = node;
    this.#close(ends, {
      status,
      ...(value !== undefined && { value }),
      ...(error !== undefined && { error }),
    });
  }

  #taskOf({ id, definition, parent, inEdges }: TaskNode): TaskCall {
    const { type = id, group } = definition;
    const dependencies = inEdges.map(({ from }) => from.id);
    return { ...this.#run, taskId: id, type, group, parentId: parent?.id, dependencies };
  }

  #call<T>(begin: (one: Middleware) => End<T> | undefined): End<T>[] {
    return this.#list.flatMap((one) => {
      try {
        return begin(one) ?? [];
      } catch (error) {
        this.#failed(error);
        return [];
      }
    });
  }

  #close<T>(ends: readonly End<T>[], end: T): void {
    for (const call of ends.toReversed()) {
      try {
        call(end);
      } catch (error) {
        this.#failed(error);
      }
    }
  }
}
