import { defer, finalize, firstValueFrom, map, type Observable, of, Subject } from 'rxjs';
import { contentText } from './codec/canonical.js';
import { copy } from './kernel/copy.js';
import {
  type DefinitionFault,
  inspect,
  RxhiveError,
  truncate,
  WorkflowDefinitionError,
} from './kernel/errors.js';
import { GuardedStream } from './kernel/guarded-stream.js';
import { readOrRefuse } from './kernel/read-once.js';
import {
  type Agent,
  type AgentCall,
  type AgentLoopOptions,
  AgentTask,
  type AgentWorkflowOptions,
  agentDependencyOf,
  dependencyOf,
  inputsById,
  loopOptions,
  nestedOptions,
  type OrchestratorOptions,
} from './model/agent.js';
import type { TaskContext } from './model/context.js';
import type { AnyDependency, Task } from './model/dependency.js';
import type { WorkflowEvent } from './model/event.js';
import { whereabouts } from './model/executor.js';
import type { NestedOutput } from './model/nested.js';
import type { OpenQuestion } from './model/question.js';
import type { WorkflowResult } from './model/result.js';
import type { RunArguments } from './model/run-options.js';
import type { CheckpointStore } from './model/store.js';
import type { TaskDefinition } from './model/task.js';
import {
  belowWorkflow,
  type GroupOptions,
  type OptionNames,
  type WorkflowDefinition,
} from './model/workflow.js';
import type { Run } from './run.js';
import { type AnswerOptions, Workflow } from './workflow.js';

/** Refuses names of groups that do not exist, where they are known to the compiler. */
type KnownGroup<N extends string, G extends string> = string extends N
  ? unknown
  : [N] extends [G]
    ? unknown
    : { readonly options: { readonly concurrencyGroup?: G } };

const optionNames: OptionNames = {
  groups: 'concurrencyGroups',
  concurrency: 'maxConcurrentTasks',
  dependency: 'the id of a task, or { id, mode }',
};

/** Adds a task from within a handler. */
export type AddAgentTask<A extends string, G extends string = string> = <N extends string = string>(
  task: AgentTask<A, N> & KnownGroup<N, G>,
) => void;

/**
 * The facade for those who think in agents and string ids. Calls `workflow()` and `run()`, does no engine
 * work itself.
 */
export class WorkflowOrchestrator<
  Agents extends Record<string, Agent<S, I>>,
  S = undefined,
  I = undefined,
  G extends string = never,
  X extends string = never,
> {
  readonly #options: OrchestratorOptions<Agents, S, I, G, X>;
  readonly #tasks: (
    | AgentTask
    | { readonly id: string; readonly nested: AgentWorkflowOptions<never, unknown> }
    | { readonly id: string; readonly loop: AgentLoopOptions<unknown> }
  )[] = [];
  readonly #handlers: [string, (value: unknown, add: AddAgentTask<string>) => unknown][] = [];
  readonly #events = new Subject<WorkflowEvent>();
  #run: Run<S, G> | undefined;
  #busy = false;

  /** @throws RxhiveError INVALID_OPTION for options that throw when they are read */
  constructor(options: OrchestratorOptions<Agents, S, I, G, X>) {
    this.#options = readOrRefuse('WorkflowOrchestrator', options, {
      ...belowWorkflow,
      agents: {},
      concurrencyGroups: { '*': {} },
    });
  }

  /** Events of every run of this orchestrator. */
  get events$(): Observable<WorkflowEvent> {
    return new GuardedStream<WorkflowEvent>(
      () => undefined,
      (subscriber) => this.#events.subscribe(subscriber),
    );
  }

  /** Adds a task; while a run goes on, to that run. @throws RxhiveError when `dynamicTasks` is false and one runs */
  addTask<const N extends string = string>(
    task: AgentTask<keyof Agents & string, N> & KnownGroup<N, G>,
  ): this {
    if (this.#run === undefined) {
      this.#tasks.push(task);
      return this;
    }
    this.#dynamic(task);
    this.#run.task(task.id, this.#definition(task) as never);
    return this;
  }

  /**
   * The same for a run whose `queue` has `onFull: 'wait'`: resolves once there was room for the task; at once where none goes on.
   * Rejects as `run.offer` does.
   */
  offerTask<const N extends string = string>(
    task: AgentTask<keyof Agents & string, N> & KnownGroup<N, G>,
  ): Promise<void> {
    const run = this.#run;
    return firstValueFrom(
      defer(() => {
        if (run === undefined) return of(this.addTask(task));
        this.#dynamic(task);
        return run.offer(task.id, this.#definition(task) as never);
      }).pipe(map(() => undefined)),
    );
  }

  /**
   * Makes a workflow a task: its tasks are tasks of the run with ids `ID/...`. @throws RxhiveError INVALID_OPTION while a
   * run goes on
   */
  addWorkflow<I, const P extends NestedOutput | undefined = undefined>(
    id: string,
    options: AgentWorkflowOptions<I, P>,
  ): this {
    this.#resting('workflow');
    this.#tasks.push({ id, nested: options as unknown as AgentWorkflowOptions<never, unknown> });
    return this;
  }

  /**
   * Lets an agent work turn by turn, each with what the one before has made (`last` of its call), until that is good enough; see
   * `flow.loop`. @throws RxhiveError INVALID_OPTION while a run goes on
   */
  addLoop<V>(id: string, options: AgentLoopOptions<V, keyof Agents & string, G>): this {
    this.#resting('loop');
    this.#tasks.push({ id, loop: options as unknown as AgentLoopOptions<unknown> });
    return this;
  }

  #resting(what: string): void {
    if (this.#run === undefined) return;
    throw new RxhiveError(
      'INVALID_OPTION',
      `A run goes on, to which no ${what} can be added; add it before.`,
    );
  }

  /** Calls `handler` with the result of the task with this id, or of each task of this agent type. */
  onTaskComplete(
    taskIdOrAgentType: string,
    handler: (result: unknown, add: AddAgentTask<keyof Agents & string, G>) => unknown,
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
  executeWorkflow(...options: RunArguments<I>): Promise<WorkflowResult<S>> {
    return this.#alone(() => {
      const run = this.workflow().run(...options);
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
    return store === undefined ? (this.#run?.questions() ?? []) : this.workflow().questions(store, runId);
  }

  /** Answers a question of the run that goes on, as `run.answer` does. @throws RxhiveError RUN_ENDED when none does */
  answer(questionId: string, value: unknown): Promise<void>;
  /** Goes on with a run that waits for the answer, as `flow.answer` does. */
  answer(
    store: CheckpointStore | string,
    runId: string,
    questionId: string,
    value: unknown,
    options?: Omit<AnswerOptions<S, I, G>, 'watch'>,
  ): Promise<WorkflowResult<S>>;
  answer(
    first: CheckpointStore | string,
    second: unknown,
    questionId?: string,
    value?: unknown,
    options: Omit<AnswerOptions<S, I, G>, 'watch'> = {},
  ): Promise<unknown> {
    if (questionId !== undefined) {
      const watch = (run: Run<S, G>): void => this.#follow(run);
      const more = { ...options, watch };
      return this.#alone(() => this.workflow().answer(first, String(second), questionId, value, more));
    }
    if (this.#run !== undefined) return this.#run.answer(String(first), second);
    const message = 'No run goes on in this orchestrator; give the store and the id of the run too.';
    throw new RxhiveError('RUN_ENDED', message);
  }

  /** One run at a time: agents and handlers are the same for all. */
  #alone(begin: () => Promise<WorkflowResult<S>>): Promise<WorkflowResult<S>> {
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

  #follow(run: Run<S, G>): void {
    this.#run = run;
    run.events$.subscribe({ next: (event) => this.#events.next(event), error: () => undefined });
  }

  /** The graph of the tasks added so far as Mermaid or DOT text. */
  graph(format: 'mermaid' | 'dot' = 'mermaid'): string {
    return this.workflow().graph(format);
  }

  /** The workflow made from the tasks added so far, as data. */
  definition(): WorkflowDefinition {
    return this.workflow().definition();
  }

  /** The run that goes on: to look at it, change its limits, end it. */
  get currentRun(): Run<S, G> | undefined {
    return this.#run;
  }

  /** The workflow made from the tasks added so far, with all that workflows can do; its runs are its own. */
  workflow(): Workflow<S, I, G, X> {
    const {
      agents: _,
      dynamicTasks: __,
      name = 'orchestrator',
      parallelExecution = true,
      maxConcurrentTasks = 10,
      concurrencyGroups = {},
      ...same
    } = this.#options;
    const groups = Object.fromEntries(
      Object.entries<number | GroupOptions>(concurrencyGroups).map(([group, limits]) => [
        group,
        typeof limits === 'number' ? { concurrency: limits } : limits,
      ]),
    ) as { [name in G]: GroupOptions };
    const concurrency = parallelExecution ? maxConcurrentTasks : 1;
    const faults: DefinitionFault[] = [];
    const origin = { durationsKey: this, names: optionNames, faults };
    const flow = new Workflow<S, I, G, X>({ ...same, name, concurrency, groups }, origin);
    const definition = (task: AgentTask): TaskDefinition =>
      this.#definition(task, (fault) => faults.push(fault));
    for (const task of this.#tasks)
      if ('loop' in task) flow.loop(task.id, loopOptions(task.id, task.loop, definition) as never);
      else flow.task(task.id, ('nested' in task ? nestedOptions(task.nested) : definition(task)) as never);
    // By its type and data a task comes back from a log without the handler that added it.
    for (const agentType of Object.keys(this.#options.agents))
      flow.registerType(agentType, ({ id, data, options, dependencies = [] }) => {
        const on = (dependencies as readonly AnyDependency[]).map(agentDependencyOf);
        return this.#definition(new AgentTask({ ...options, id, agentType, data, dependencies: on }));
      });
    for (const [key, handler] of this.#handlers) {
      const call = (value: unknown, add: (id: string, task: TaskDefinition) => unknown): unknown =>
        handler(value, (task) => {
          this.#dynamic(task);
          add(task.id, this.#definition(task));
        });
      flow.handle(`id:${key}`, call).handle(`type:${key}`, call);
    }
    return flow;
  }

  #dynamic(task: AgentTask): void {
    if (this.#options.dynamicTasks !== false) return;
    throw new RxhiveError(
      'INVALID_OPTION',
      `Task "${truncate(task.id)}" was added while running; set dynamicTasks to true.`,
    );
  }

  /** `fault`: takes what is wrong, so that all of it can be told together. @throws WorkflowDefinitionError without it */
  #definition({ options }: AgentTask, fault?: (fault: DefinitionFault) => void): TaskDefinition {
    const {
      id,
      agentType,
      data,
      dependencies = [],
      concurrencyGroup,
      tokens,
      cache,
      when,
      ...same
    } = options;
    const agent = this.#agent(id, agentType, fault);
    const { id: _, agentType: __, data: ___, dependencies: ____, signal: _____, ...own } = options;
    const inputsOf = inputsById(dependencies);
    const { key, ttl } = cache ?? {};
    return {
      ...same,
      dependencies: dependencies.map(dependencyOf) as readonly Task[],
      run: (values: readonly unknown[], ctx: TaskContext<S, I>, ...turn: readonly unknown[]) => {
        const last = turn.length > 0 && { last: turn[0] };
        const call: AgentCall = { id, agentType, data: copy(data), inputs: inputsOf(values), ...last };
        return typeof agent === 'function' ? agent(call, ctx) : agent.run(call, ctx as never);
      },
      ...(when !== undefined && {
        when: (values: readonly unknown[], ctx: TaskContext<S, I>) =>
          when(inputsOf(values), ctx as TaskContext),
      }),
      group: concurrencyGroup,
      tokens:
        typeof tokens === 'function' ? (values: readonly unknown[]) => tokens(inputsOf(values)) : tokens,
      ...(cache !== undefined && {
        cache: {
          ...(ttl !== undefined && { ttl }),
          ...(key !== undefined && {
            key: (values: readonly unknown[], input: unknown) => key(inputsOf(values), input),
          }),
        },
      }),
      data,
      type: agentType,
      // A schema cannot be stored.
      ...(options.result === undefined && { stored: { type: agentType, data, options: own, lenient: true } }),
      ...(typeof agent === 'object' && whereabouts(agent)),
      // Asked for by stores and caches only: data can be large.
      code: () => {
        const asked = when === undefined ? '' : `${String(when)}\n`;
        const ofAgent = typeof agent === 'function' ? agent : (agent.version ?? agent.run);
        const own = options.version ?? `${asked}${String(ofAgent)}`;
        return `${String(own)}\n${contentText(data)}`;
      },
    };
  }

  #agent(id: string, agentType: string, fault?: (fault: DefinitionFault) => void): Agent<S, I> {
    const { agents } = this.#options;
    if (Object.hasOwn(agents, agentType)) return agents[agentType] as Agent<S, I>;
    const message = `Task "${truncate(id)}" wants agent ${inspect(agentType)}, which does not exist; add it to agents.`;
    const bad = { kind: 'unknown-agent' as const, taskId: id, message };
    if (fault === undefined) throw new WorkflowDefinitionError(this.#options.name ?? 'orchestrator', [bad]);
    fault(bad);
    return () => undefined;
  }
}
