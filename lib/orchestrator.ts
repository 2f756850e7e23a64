import { defer, finalize, firstValueFrom, type Observable, Subject } from 'rxjs';
import { brief, RxhiveError, shown, WorkflowDefinitionError } from './kernel/errors.js';
import type { BudgetOptions } from './model/budget.js';
import type { TaskContext } from './model/context.js';
import type { WorkflowEvent } from './model/event.js';
import type { Place } from './model/executor.js';
import type { Limiter, LimiterSettings } from './model/limiter.js';
import type { Middleware } from './model/middleware.js';
import type { RetryOptions, TimeoutOptions } from './model/policy.js';
import type { OpenQuestion } from './model/question.js';
import type { WorkflowResult } from './model/result.js';
import type { RunOptions } from './model/run-options.js';
import type { StandardSchema } from './model/schema.js';
import type { CheckpointStore } from './model/store.js';
import { Task, type TaskDefinition } from './model/task.js';
import type { Price } from './model/usage.js';
import type { FailurePolicy, GroupOptions, WorkflowDefinition } from './model/workflow.js';
import { GuardedStream } from './observe/guarded-stream.js';
import type { Run } from './run.js';
import { Workflow } from './workflow.js';

/** What an {@link AgentTask} is made from. */
export interface AgentTaskOptions<A extends string = string> {
  readonly id: string;
  /** Name of one of the orchestrator's agents. */
  readonly agentType: A;
  /** Handed to the agent as it is. */
  readonly data?: unknown;
  /** Ids of tasks that must have succeeded. They may be added later, but before the run starts. */
  readonly dependencies?: readonly string[];
  /** One of the orchestrator's `concurrencyGroups`. */
  readonly concurrencyGroup?: string;
  /** Higher goes first. Default 0. */
  readonly priority?: number;
  /** Tokens an attempt will use, for limiters with `tokensPerMinute`. Default: learnt, from data and inputs. */
  readonly tokens?: number;
  /** Tries after the first, or a policy. */
  readonly retry?: number | RetryOptions;
  /** Ms for one attempt, or limits by kind. */
  readonly timeout?: number | TimeoutOptions;
  /** Schema of the agent's answer; a misfit fails the attempt with `INVALID_RESULT`. Default: anything. */
  readonly result?: StandardSchema;
}

/** One piece of work for an agent: plain data, no code. */
export class AgentTask<const A extends string = string> {
  readonly options: AgentTaskOptions<A>;

  constructor(options: AgentTaskOptions<A>) {
    this.options = options;
  }

  get id(): string {
    return this.options.id;
  }
}

/** The task as its agent sees it. */
export interface AgentCall {
  readonly id: string;
  readonly agentType: string;
  readonly data: unknown;
  /** Results of its dependencies by id. */
  readonly inputs: Readonly<Record<string, unknown>>;
}

/** The work of an agent: may return a value, a promise, an async iterable or an Observable. */
export type AgentFunction = (task: AgentCall, ctx: TaskContext) => unknown;

/** A function, or an object with `run`; an executor such as `threads({ file })` is one. */
export type Agent =
  | AgentFunction
  | {
      run(task: AgentCall, ctx: TaskContext): unknown;
      /** What it runs on; who finds no slot waits. Default: in this process, as many as come. */
      readonly place?: Place;
      /** Change it and stored results are not used again. Default: the source text of `run`. */
      readonly version?: string;
    };

/** How a {@link WorkflowOrchestrator} works. */
export interface OrchestratorOptions<Agents extends Record<string, Agent>> {
  /** Agents by name. */
  readonly agents: Agents;
  /** Shown in reports. Default `orchestrator`. */
  readonly name?: string;
  /** What it is good for: models to which it is offered as a tool decide by that. Default: names its tasks. */
  readonly description?: string;
  /** False: one task at a time. Default true. */
  readonly parallelExecution?: boolean;
  /** Tasks running at once. Default 10. */
  readonly maxConcurrentTasks?: number;
  /** May tasks be added while a run goes on? Default true. */
  readonly dynamicTasks?: boolean;
  /** Limits by group name: tasks at once, or all options of a group. */
  readonly concurrencyGroups?: Readonly<Record<string, number | GroupOptions>>;
  /** What one provider allows all tasks together. Default: no limits. */
  readonly limiter?: Limiter | LimiterSettings;
  /** Code around runs, tasks and attempts: the first is the outermost. Default: none. */
  readonly middleware?: readonly Middleware[];
  /** Default `continue`. */
  readonly failurePolicy?: FailurePolicy;
  /** Most a run may use. Default: no limit. */
  readonly budget?: BudgetOptions;
  /** Prices by model, for `ctx.usage({ model })`. */
  readonly prices?: { readonly [model: string]: Price };
}

/** Adds a task from within a handler. */
export type AddAgentTask<A extends string> = (task: AgentTask<A>) => void;

/**
 * The facade for those who think in agents and string ids. Calls `workflow()` and `run()`, does no engine
 * work itself.
 */
export class WorkflowOrchestrator<Agents extends Record<string, Agent>> {
  readonly #options: OrchestratorOptions<Agents>;
  readonly #tasks: AgentTask[] = [];
  readonly #handlers: [string, (value: unknown, add: AddAgentTask<string>) => unknown][] = [];
  readonly #events = new Subject<WorkflowEvent>();
  #run: Run | undefined;
  #busy = false;

  constructor(options: OrchestratorOptions<Agents>) {
    this.#options = options;
  }

  /** Events of every run of this orchestrator. */
  get events$(): Observable<WorkflowEvent> {
    return new GuardedStream<WorkflowEvent>(
      () => undefined,
      (subscriber) => this.#events.subscribe(subscriber),
    );
  }

  /** Adds a task; while a run goes on, to that run. @throws RxhiveError when `dynamicTasks` is false and one runs */
  addTask(task: AgentTask<keyof Agents & string>): this {
    if (this.#run === undefined) {
      this.#tasks.push(task);
      return this;
    }
    this.#dynamic(task);
    this.#run.task(task.id, this.#definition(task) as never);
    return this;
  }

  /** Calls `handler` with the result of the task with this id, or of each task of this agent type. */
  onTaskComplete(
    taskIdOrAgentType: string,
    handler: (result: unknown, add: AddAgentTask<keyof Agents & string>) => unknown,
  ): this {
    this.#handlers.push([
      taskIdOrAgentType,
      handler as (value: unknown, add: AddAgentTask<string>) => unknown,
    ]);
    return this;
  }

  /**
   * Runs all tasks added so far. Rejects only for a faulty definition, never for a failed task.
   * @throws WorkflowDefinitionError with all faults
   */
  executeWorkflow(
    options: Pick<
      RunOptions,
      'signal' | 'store' | 'runId' | 'durability' | 'retry' | 'suspend' | 'middleware'
    > = {},
  ): Promise<WorkflowResult> {
    return this.#alone(() => {
      const run = this.#workflow().run(options);
      this.#follow(run);
      return run.result();
    });
  }

  /** What waits for answers of people in the run that goes on. */
  questions(): readonly OpenQuestion[];
  /** The same for a run that does not go on, by its log alone. */
  questions(store: CheckpointStore | string, runId: string): Promise<readonly OpenQuestion[]>;
  questions(
    store?: CheckpointStore | string,
    runId = '',
  ): readonly OpenQuestion[] | Promise<readonly OpenQuestion[]> {
    return store === undefined ? (this.#run?.questions() ?? []) : this.#workflow().questions(store, runId);
  }

  /** Answers a question of the run that goes on, as `run.answer` does. @throws RxhiveError RUN_ENDED when none does */
  answer(questionId: string, value: unknown): Promise<void>;
  /** Goes on with a run that waits for the answer, as `flow.answer` does. */
  answer(
    store: CheckpointStore | string,
    runId: string,
    questionId: string,
    value: unknown,
    options?: Pick<RunOptions, 'signal' | 'durability' | 'retry' | 'middleware'>,
  ): Promise<WorkflowResult>;
  answer(
    first: CheckpointStore | string,
    second: unknown,
    questionId?: string,
    value?: unknown,
    options: Pick<RunOptions, 'signal' | 'durability' | 'retry' | 'middleware'> = {},
  ): Promise<unknown> {
    if (questionId !== undefined) {
      const watch = (run: Run): void => this.#follow(run);
      const more = { ...options, watch };
      return this.#alone(() => this.#workflow().answer(first, String(second), questionId, value, more));
    }
    if (this.#run !== undefined) return this.#run.answer(String(first), second);
    const message = 'No run goes on in this orchestrator; give the store and the id of the run too.';
    throw new RxhiveError('RUN_ENDED', message);
  }

  /** One run at a time: agents and handlers are the same for all. */
  #alone(begin: () => Promise<WorkflowResult>): Promise<WorkflowResult> {
    return firstValueFrom(
      defer(() => {
        if (this.#busy) {
          throw new RxhiveError(
            'INVALID_OPTION',
            'This orchestrator is running already; await its end, or make another one.',
          );
        }
        this.#busy = true;
        return defer(begin).pipe(
          finalize(() => {
            this.#busy = false;
            this.#run = undefined;
          }),
        );
      }),
    );
  }

  #follow(run: Run): void {
    this.#run = run;
    run.events$.subscribe({ next: (event) => this.#events.next(event), error: () => undefined });
  }

  /** The graph of the tasks added so far as Mermaid or DOT text. */
  graph(format: 'mermaid' | 'dot' = 'mermaid'): string {
    return this.#workflow().graph(format);
  }

  /** The workflow made from the tasks added so far, as data. */
  definition(): WorkflowDefinition {
    return this.#workflow().definition();
  }

  #workflow(): Workflow {
    const {
      name = 'orchestrator',
      parallelExecution = true,
      maxConcurrentTasks = 10,
      concurrencyGroups = {},
      failurePolicy,
      limiter,
      middleware,
      budget,
      prices,
      description,
    } = this.#options;
    const groups = Object.fromEntries(
      Object.entries(concurrencyGroups).map(([group, limits]) => [
        group,
        typeof limits === 'number' ? { concurrency: limits } : limits,
      ]),
    );
    const settings = {
      name,
      concurrency: parallelExecution ? maxConcurrentTasks : 1,
      groups,
      ...(failurePolicy === undefined ? {} : { failurePolicy }),
      ...(limiter === undefined ? {} : { limiter }),
      ...(middleware === undefined ? {} : { middleware }),
      ...(budget === undefined ? {} : { budget }),
      ...(prices === undefined ? {} : { prices }),
      ...(description === undefined ? {} : { description }),
    };
    const flow = new Workflow(settings, this);
    for (const task of this.#tasks) flow.task(task.id, this.#definition(task) as never);
    for (const [key, handler] of this.#handlers) {
      const call = (value: unknown, add: (id: string, task: TaskDefinition) => unknown): unknown =>
        handler(value, (task) => {
          this.#dynamic(task);
          add(task.id, this.#definition(task));
        });
      flow.handle(`id:${key}`, call).handle(`type:${key}`, call);
    }
    return flow as unknown as Workflow;
  }

  #dynamic(task: AgentTask): void {
    if (this.#options.dynamicTasks !== false) return;
    throw new RxhiveError(
      'INVALID_OPTION',
      `Task "${brief(task.id)}" was added while running; set dynamicTasks to true.`,
    );
  }

  #definition(task: AgentTask): TaskDefinition {
    const {
      id,
      agentType,
      data,
      dependencies = [],
      concurrencyGroup,
      priority,
      retry,
      timeout,
      tokens,
      result,
    } = task.options;
    const agent = Object.hasOwn(this.#options.agents, agentType)
      ? this.#options.agents[agentType]
      : undefined;
    if (agent === undefined) {
      const message = `Task "${brief(id)}" wants agent ${shown(agentType)}, which does not exist; add it to agents.`;
      const bad = { kind: 'unknown-agent' as const, taskId: id, message };
      throw new WorkflowDefinitionError(this.#options.name ?? 'orchestrator', [bad]);
    }
    return {
      dependencies: dependencies.map((one) => new Task(one)),
      run: (values: readonly unknown[], ctx: TaskContext) => {
        const inputs = Object.fromEntries(dependencies.map((one, i) => [one, values[i]]));
        const call: AgentCall = { id, agentType, data, inputs };
        return typeof agent === 'function' ? agent(call, ctx) : agent.run(call, ctx);
      },
      group: concurrencyGroup,
      priority,
      retry,
      timeout,
      tokens,
      data,
      result,
      type: agentType,
      ...(typeof agent === 'object' && agent.place !== undefined && { place: agent.place }),
      // Asked for by stores and caches only: data can be large.
      get version() {
        return `${String(typeof agent === 'function' ? agent : (agent.version ?? agent.run))}\n${textOf(data)}`;
      },
    };
  }
}

/** Data as text, to notice that they changed; data that cannot be written count as unchanged. */
function textOf(data: unknown): string {
  try {
    return JSON.stringify(data) ?? '';
  } catch {
    return '';
  }
}
