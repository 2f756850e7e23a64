import {
  type Attributes,
  type Context,
  context,
  isSpanContextValid,
  type Link,
  propagation,
  type Span,
  type SpanContext,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { isObservable, Observable, tap } from 'rxjs';
import { inspect, RxhiveError } from '../kernel/errors.js';
import { withoutSecrets } from '../kernel/secret-texts.js';
import type { AttemptCall, Middleware, RunCall, TaskCall, TaskEnd } from '../model/middleware.js';
import type { WorkflowResult } from '../model/result.js';

/** How runs are traced. */
export interface TracingOptions {
  /** Default: the one of the global provider, named `rxhive`. */
  readonly tracer?: Tracer;
  /**
   * Attributes of OpenTelemetry's conventions for generative AI (`gen_ai.*`), which are still in development: the version to
   * follow, or false for none. Default false.
   */
  readonly genAi?: '1.37' | false;
}

interface OpenTask {
  readonly span: Span;
  /** Span of the newest attempt: what it adds is its child. */
  attempt: SpanContext | undefined;
}

interface OpenRun {
  readonly span: Span;
  readonly within: Context;
  readonly tasks: Map<string, OpenTask>;
  /** Of tasks that have ended, for links to them and children of them. */
  readonly ended: Map<string, SpanContext>;
}

/**
 * Middleware that makes OpenTelemetry spans: one for the run, within it one for each task, within that one for each attempt.
 * A dependency is a link; the parent is who really called: a task that was added by another is a child of the attempt that
 * added it, and a run begun within a body is a child of that attempt. What a body calls finds the attempt as its
 * parent, in async functions, generators, Observables and retries; for threads `ctx.carrier` takes it along.
 *
 * ```ts
 * const flow = workflow({ name: 'traced', middleware: [tracing()] });
 * ```
 * @throws RxhiveError INVALID_OPTION for an unknown version of the conventions
 */
export function tracing(options: TracingOptions = {}): Middleware {
  const { genAi = false } = options;
  if (genAi !== false && genAi !== '1.37')
    throw new RxhiveError('INVALID_OPTION', `genAi is ${inspect(genAi)}; give '1.37' or false.`);
  return new Tracing(options.tracer, genAi !== false);
}

class Tracing implements Middleware {
  readonly #tracer: Tracer | undefined;
  readonly #genAi: boolean;
  readonly #runs = new Map<string, OpenRun>();

  constructor(tracer: Tracer | undefined, genAi: boolean) {
    this.#tracer = tracer;
    this.#genAi = genAi;
  }

  run({ runId, workflow }: RunCall): ((result: WorkflowResult) => void) | undefined {
    const attributes = {
      'rxhive.run.id': runId,
      'rxhive.workflow.name': workflow,
      ...(this.#genAi && { 'gen_ai.operation.name': 'invoke_workflow', 'gen_ai.workflow.name': workflow }),
    };
    const span = this.#begin(`invoke_workflow ${workflow}`, context.active(), attributes);
    // Neither a provider nor somebody above who has one: nothing to carry on, so nothing is made for each task.
    if (!isSpanContextValid(span.spanContext())) return undefined;
    const within = trace.setSpan(context.active(), span);
    const open: OpenRun = { span, within, tasks: new Map(), ended: new Map() };
    this.#runs.set(runId, open);
    return ({ status, report }) => {
      this.#runs.delete(runId);
      span.setAttributes({ 'rxhive.run.status': status, 'rxhive.run.retries': report.retries });
      if (status !== 'succeeded') span.setStatus({ code: SpanStatusCode.ERROR, message: status });
      span.end();
    };
  }

  task(call: TaskCall): ((end: TaskEnd) => void) | undefined {
    const run = this.#runs.get(call.runId);
    if (run === undefined) return undefined;
    const { taskId, type, group, parentId, dependencies } = call;
    const links: Link[] = [];
    for (const id of dependencies) {
      const to = run.ended.get(id) ?? run.tasks.get(id)?.span.spanContext();
      if (to !== undefined)
        links.push({ context: to, attributes: { 'rxhive.link': 'dependency', 'rxhive.task.id': id } });
    }
    const attributes: Attributes = { 'rxhive.task.id': taskId, 'rxhive.task.type': type };
    if (group !== undefined) attributes['rxhive.group'] = group;
    const parent =
      parentId === undefined ? undefined : (run.tasks.get(parentId)?.attempt ?? run.ended.get(parentId));
    const within = parent === undefined ? run.within : trace.setSpanContext(run.within, parent);
    const span = this.#begin(`task ${taskId}`, within, attributes, links);
    const open: OpenTask = { span, attempt: undefined };
    run.tasks.set(taskId, open);
    return ({ status, error }) => {
      run.tasks.delete(taskId);
      run.ended.set(taskId, open.attempt ?? span.spanContext());
      span.setAttribute('rxhive.task.status', status);
      if (error !== undefined) fail(span, error);
      span.end();
    };
  }

  attempt(call: AttemptCall, next: () => unknown): unknown {
    const run = this.#runs.get(call.runId);
    const task = run?.tasks.get(call.taskId);
    if (run === undefined || task === undefined) return next();
    const { taskId, type, attempt } = call;
    const attributes: Attributes = { 'rxhive.task.id': taskId, 'rxhive.attempt': attempt };
    if (this.#genAi) {
      attributes['gen_ai.operation.name'] = 'invoke_agent';
      attributes['gen_ai.agent.name'] = type;
    }
    const span = this.#begin(`invoke_agent ${type}`, trace.setSpan(run.within, task.span), attributes);
    task.attempt = span.spanContext();
    const within = trace.setSpan(run.within, span);
    // Without a propagator there is nothing to take along.
    if (propagation.fields().length > 0) propagation.inject(within, call.ctx.carrier);
    if (this.#genAi) tellUsage(span, call);
    return new AttemptSpan(span, within, call).follow(next);
  }

  #begin(name: string, within: Context, attributes: Attributes, links: Link[] = []): Span {
    const tracer = this.#tracer ?? trace.getTracer('rxhive');
    return tracer.startSpan(name, { attributes, links }, within);
  }
}

/** What the attempt has used so far, and the model that it named last. */
function tellUsage(span: Span, call: AttemptCall): void {
  let [input, output] = [0, 0];
  call.onUsage(({ inputTokens = 0, outputTokens = 0, model }) => {
    input += inputTokens;
    output += outputTokens;
    span.setAttribute('gen_ai.usage.input_tokens', input);
    span.setAttribute('gen_ai.usage.output_tokens', output);
    if (model === undefined) return;
    span.setAttribute('gen_ai.request.model', model);
    span.setAttribute('gen_ai.response.model', model);
  });
}

/** The span of one attempt, ended once: by what the body returns or throws, or when the attempt is stopped. */
class AttemptSpan {
  readonly #span: Span;
  readonly #within: Context;
  #ended = false;

  constructor(span: Span, within: Context, call: AttemptCall) {
    this.#span = span;
    this.#within = within;
    call.onStop((reason) => this.#end(reason));
  }

  follow(next: () => unknown): unknown {
    try {
      return this.#watch(context.with(this.#within, next));
    } catch (error) {
      this.#end(error);
      throw error;
    }
  }

  /** The same thing, with whatever it runs later run within the span. */
  #watch(returned: unknown): unknown {
    if (isObservable(returned)) return this.#observable(returned);
    const thing = returned as { then?: unknown; [Symbol.asyncIterator]?: unknown } | null | undefined;
    if (typeof thing?.then === 'function') {
      const fulfilled = (value: unknown): unknown => this.#watch(value);
      const rejected = (error: unknown): never => {
        this.#end(error);
        throw error;
      };
      return (returned as PromiseLike<unknown>).then(fulfilled, rejected);
    }
    if (typeof thing?.[Symbol.asyncIterator] === 'function')
      return this.#iterable(returned as AsyncIterable<unknown>);
    this.#end();
    return returned;
  }

  #observable(source: Observable<unknown>): Observable<unknown> {
    const ended = source.pipe(
      tap({ error: (error: unknown) => this.#end(error), complete: () => this.#end() }),
    );
    return new Observable((subscriber) => context.with(this.#within, () => ended.subscribe(subscriber)));
  }

  /** A generator goes on in the context of who asks for the next value: that has to be this one. */
  #iterable(source: AsyncIterable<unknown>): AsyncIterable<unknown> {
    const within = this.#within;
    return {
      [Symbol.asyncIterator]: () => {
        const iterator = context.with(within, () => source[Symbol.asyncIterator]());
        const step = async (
          ask: () => Promise<IteratorResult<unknown>>,
        ): Promise<IteratorResult<unknown>> => {
          try {
            const item = await context.with(within, ask);
            if (item.done === true) this.#end();
            return item;
          } catch (error) {
            this.#end(error);
            throw error;
          }
        };
        return {
          next: () => step(() => iterator.next()),
          return: () => step(async () => (await iterator.return?.()) ?? { done: true, value: undefined }),
        };
      },
    };
  }

  #end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    if (error !== undefined) fail(this.#span, error);
    this.#span.end();
  }
}

function fail(span: Span, error: unknown): void {
  const {
    name = 'Error',
    message = String(error),
    code,
  } = (typeof error === 'object' && error !== null ? error : {}) as {
    name?: string;
    message?: string;
    code?: unknown;
  };
  span.setAttribute('error.type', typeof code === 'string' ? code : name);
  span.setStatus({
    code: SpanStatusCode.ERROR,
    message: withoutSecrets(message.slice(0, 2_000)).slice(0, 500),
  });
}

/** Calls `fn` within the trace that `ctx.carrier` has brought into a thread or another process. */
export function withCarrier<T>(carrier: Readonly<Record<string, string>>, fn: () => T): T {
  return context.with(propagation.extract(context.active(), carrier), fn);
}
