import type { Observable } from 'rxjs';
import { onAbort } from '../kernel/abort.js';
import { Choice, Dependency, type Task } from '../model/dependency.js';
import type { QuestionEvent, WorkflowEvent } from '../model/event.js';
import type { WorkflowResult } from '../model/result.js';
import type { RunOptions } from '../model/run-options.js';
import type { Definable, WorkflowDefinition } from '../model/workflow.js';

/** A run, as far as those need it who offer workflows to a framework. */
export interface OfferedRun {
  readonly events$: Observable<WorkflowEvent>;
  answer(questionId: string, value: unknown): Promise<void>;
  result(): Promise<WorkflowResult>;
}

/** A workflow. */
interface OfferedWorkflow extends Definable {
  run(...options: never[]): OfferedRun;
}

/** An orchestrator: it runs once at a time. */
interface OfferedOrchestrator extends Definable {
  readonly events$: Observable<WorkflowEvent>;
  answer(questionId: string, value: unknown): Promise<void>;
  executeWorkflow(options?: never): Promise<WorkflowResult>;
}

/** What can be offered to a framework: a workflow or an orchestrator. */
export type Runnable = OfferedWorkflow | OfferedOrchestrator;

/** One for all calls, or a function that makes one of what is asked for. */
export type Offer<C> = Runnable | ((call: C) => Runnable | PromiseLike<Runnable>);

/** How the runs of an offer go, beside input and signal. */
export type OfferedRunOptions = Omit<RunOptions, 'input' | 'signal'>;

/** Starts calls of an offer: of an orchestrator one after the other, of all else each at once. */
export function inTurn<C>(offer: Offer<C>): <T>(work: () => Promise<T>) => Promise<T> {
  const oneAtATime = !(typeof offer === 'function' || 'run' in offer);
  let turn: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = turn.then(work);
    if (oneAtATime) turn = result.catch(() => undefined);
    return result;
  };
}

/** A run of a workflow or an orchestrator; it starts with `result()`, or when its events are subscribed. */
export function runOf(runnable: Runnable, options: RunOptions): OfferedRun {
  if ('run' in runnable) return runnable.run(...([options] as never[]));
  return {
    events$: runnable.events$,
    answer: (id, value) => runnable.answer(id, value),
    result: () => runnable.executeWorkflow(options as never),
  };
}

/**
 * What a run answers who asked for it: what `output` makes of it, else the result of the task that no other depends on; of several an object by id. Tasks
 * that were added at run time do not count.
 * @throws PartialWorkflowError when one of them has no result
 */
export function answerOf(
  runnable: Runnable,
  result: WorkflowResult,
  output?: (result: WorkflowResult) => unknown,
): unknown {
  if (output !== undefined) return output(result);
  const last = lastTasks(runnable.definition());
  if (!last.every((id) => result.results.has(id))) result.orThrow();
  const [only] = last;
  if (last.length === 1 && only !== undefined) return result.results.get(only);
  return Object.fromEntries(last.map((id) => [id, result.results.get(id)]));
}

/** Ids of the tasks that no other depends on. */
export function lastTasks({ ids, tasks }: WorkflowDefinition): readonly string[] {
  const needed = new Set(
    tasks.flatMap(({ dependencies }) =>
      (Object.values(dependencies ?? {}) as (Task | Dependency | Choice)[]).flatMap((one) => {
        if (one instanceof Choice) return one.tasks.map(({ id }) => id);
        return one instanceof Dependency ? one.task.id : one.id;
      }),
    ),
  );
  return ids.filter((id) => !needed.has(id));
}

/** An event of the run; a question that is open has `answer`, which resolves when the answer counts. */
export type FlowEvent<E extends WorkflowEvent = WorkflowEvent> = E extends QuestionEvent
  ? E & { readonly answer?: (value: unknown) => Promise<void> }
  : E;

/** The run of a framework that an offer is called in. */
export interface Surroundings {
  readonly signal: AbortSignal;
  readonly emitter: { emit(name: string, value: unknown): Promise<void> };
}

const told: readonly WorkflowEvent['type'][] = ['run', 'task', 'value', 'log', 'question'];

/** How a workflow meets what it is offered to. `C`: what it is called with. */
export interface OfferOptions<C> {
  /** The input of the run. Default: what it is called with. */
  readonly input?: (call: C) => unknown;
  /** More options of the run, such as `store` and `runId`. */
  readonly run?: OfferedRunOptions | ((call: C) => OfferedRunOptions);
  /**
   * The answer. Default: the result of the task that no other depends on, of several an object by id; when one of them has
   * none, the call fails with `PartialWorkflowError`.
   */
  readonly output?: (result: WorkflowResult) => unknown;
}

/** What {@link offered} needs to know. */
export interface Offered<C> extends OfferOptions<C> {
  readonly offer: Offer<C>;
  /** Types of the events that the emitter tells. */
  readonly events?: readonly WorkflowEvent['type'][] | 'all';
}

/** Runs an offer within a run of a framework, whose emitter tells the events and whose signal ends it. */
export async function offered<C>(
  { offer, input, run: more, output, events = told }: Offered<C>,
  call: C,
  { emitter, signal }: Surroundings,
): Promise<{ readonly answer: unknown; readonly result: WorkflowResult }> {
  const runnable = typeof offer === 'function' ? await offer(call) : offer;
  signal.throwIfAborted();
  const stop = new AbortController();
  const unlink = onAbort(signal, (reason) => stop.abort(reason));
  const run = runOf(runnable, {
    ...(typeof more === 'function' ? more(call) : more),
    input: input === undefined ? call : input(call),
    signal: stop.signal,
  });
  // One after the other; a listener that throws ends the run, as in frameworks.
  let telling: Promise<unknown> = Promise.resolve();
  const watching = run.events$.subscribe((event) => {
    if (events !== 'all' && !events.includes(event.type)) return;
    const shown = event.type === 'question' && event.reason === 'asked' ? answerable(event, run) : event;
    telling = telling.then(() => emitter.emit(event.type, shown));
    telling.catch((error: unknown) => stop.abort(error));
  });
  try {
    const result = await run.result();
    await telling;
    signal.throwIfAborted();
    return { answer: answerOf(runnable, result, output), result };
  } finally {
    watching.unsubscribe();
    unlink();
  }
}

function answerable(
  event: QuestionEvent,
  run: { answer(id: string, value: unknown): Promise<void> },
): FlowEvent {
  return { ...event, answer: (value) => run.answer(event.questionId, value) };
}
