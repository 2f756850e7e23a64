import type { TaskNode } from '../graph/node.js';
import type { RxhiveError } from '../kernel/errors.js';
import { badReturn, callUser, faultOf, notify } from '../kernel/guard.js';
import type { TaskContext } from '../model/context.js';
import type { AttemptCall, Middleware, RunCall, TaskCall, TaskEnd } from '../model/middleware.js';
import type { WorkflowResult } from '../model/result.js';
import type { RunOptions } from '../model/run-options.js';
import type { WorkflowDefinition } from '../model/workflow.js';

type End<T> = (end: T) => void;

/** An attempt as middleware stands around it. */
export interface Stoppable extends TaskContext {
  /** Calls `stopped` when the attempt is ended from outside. */
  onStop(stopped: (reason: unknown) => void): void;
}

/** A task whose middleware has begun. */
interface Open {
  readonly call: TaskCall;
  readonly ends: readonly End<TaskEnd>[];
}

/** The middleware of a run, outermost first. */
export class MiddlewareStack {
  readonly #list: readonly Middleware[];
  readonly #run: RunCall;
  readonly #failed: (error: unknown) => void;
  readonly #tasks = new Map<TaskNode, Open>();
  readonly #runEnds: End<WorkflowResult>[] = [];

  /** `failed` is told what is thrown at the ends of runs and tasks. */
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

  /** The run begins; returns why it cannot. */
  begin(): RxhiveError | undefined {
    try {
      this.#call('middleware.run', (one) => one.run?.(this.#run), this.#runEnds);
      return undefined;
    } catch (error) {
      return faultOf(error, 'middleware.run');
    }
  }

  /** The run has ended. */
  runEnded(result: WorkflowResult): void {
    this.#callEnds(this.#runEnds, result);
  }

  /** What the body returns, through all of the middleware. */
  attempt(node: TaskNode, ctx: Stoppable, inputs: unknown): unknown {
    const { context } = node.principal;
    return context === undefined
      ? this.#attempt(node, ctx, inputs)
      : context.runInAsyncScope(this.#attempt, this, node, ctx, inputs);
  }

  #attempt(node: TaskNode, ctx: Stoppable, inputs: unknown): unknown {
    if (this.#list.length === 0) return node.definition.run(inputs as never, ctx as never);
    // An attempt beside another one belongs to the same task.
    const task = this.#tasks.get(node.principal)?.call ?? this.#begin(node.principal);
    // Those of the attempt before.
    if (node.extra !== undefined) node.extra.onUsage = undefined;
    const call = (at: number, given: unknown): unknown => {
      const one = this.#list[at];
      if (one === undefined) return node.definition.run(given as never, ctx as never);
      if (one.attempt === undefined) return call(at + 1, given);
      const own = new Call(task, node, given, ctx, this.#failed);
      return one.attempt(own, (other) => call(at + 1, other === undefined ? given : other));
    };
    return call(0, inputs);
  }

  #begin(node: TaskNode): TaskCall {
    const { id, definition, parent, inEdges } = node;
    const { runId, workflow } = this.#run;
    const { type = id, group } = definition;
    const dependencies = inEdges.map(({ from }) => from.id);
    const call = { runId, workflow, taskId: id, type, group, parentId: parent?.id, dependencies };
    const ends: End<TaskEnd>[] = [];
    this.#tasks.set(node, { call, ends });
    this.#call('middleware.task', (one) => one.task?.(call), ends);
    return call;
  }

  /** A task has ended. */
  ended(node: TaskNode): void {
    if (this.#list.length === 0) return;
    const ends = this.#tasks.get(node)?.ends;
    if (ends === undefined) return;
    this.#tasks.delete(node);
    if (ends.length === 0) return;
    const { status, value, error } = node;
    const end: { -readonly [key in keyof TaskEnd]: TaskEnd[key] } = { status };
    if (value !== undefined) end.value = value;
    if (error !== undefined) end.error = error;
    this.#callEnds(ends, end);
  }

  /** Those who have begun hear of the end also where one after them throws: `ends` has them. */
  #call<T>(hook: string, begin: (one: Middleware) => End<T> | undefined, ends: End<T>[]): void {
    for (const one of this.#list) {
      const end: unknown = callUser(hook, () => begin(one));
      if (typeof end === 'function') ends.push(end as End<T>);
      else if (end !== undefined) throw badReturn(hook, end, 'nothing, or a function to call at the end');
    }
  }

  #callEnds<T>(ends: readonly End<T>[], end: T): void {
    for (let i = ends.length - 1; i >= 0; i--) notify(() => ends[i]?.(end), this.#failed);
  }
}

/** What an attempt looks like to one of its middleware. */
class Call implements AttemptCall {
  readonly runId: string;
  readonly workflow: string;
  readonly taskId: string;
  readonly type: string;
  readonly group: string | undefined;
  readonly parentId: string | undefined;
  readonly dependencies: readonly string[];
  readonly attempt: number;
  readonly inputs: unknown;
  readonly ctx: Stoppable;
  /** A property, as the others are: who takes the call apart gets it too. */
  readonly onStop: AttemptCall['onStop'];
  readonly onUsage: AttemptCall['onUsage'];

  constructor(
    task: TaskCall,
    node: TaskNode,
    inputs: unknown,
    ctx: Stoppable,
    failed: (error: unknown) => void,
  ) {
    this.runId = task.runId;
    this.workflow = task.workflow;
    this.taskId = task.taskId;
    this.type = task.type;
    this.group = task.group;
    this.parentId = task.parentId;
    this.dependencies = task.dependencies;
    this.attempt = node.attempt;
    this.inputs = inputs;
    this.ctx = ctx;
    const safely =
      <T>(listener: (what: T) => void) =>
      (what: T): void => {
        notify(() => listener(what), failed);
      };
    this.onStop = (stopped) => ctx.onStop(safely(stopped));
    this.onUsage = (listener) => {
      const extra = node.more();
      extra.onUsage ??= [];
      extra.onUsage.push(safely(listener));
    };
  }
}
