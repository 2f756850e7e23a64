import { onAbort } from '../kernel/abort.js';
import { AnswerRefusedError, RxhiveError, truncate } from '../kernel/errors.js';
import type { QuestionEvent, WorkflowEvent } from '../model/event.js';
import type { OpenQuestion } from '../model/question.js';
import { jsonSchemaOf, type StandardSchema } from '../model/schema.js';
import type { WorkflowDefinition } from '../model/workflow.js';
import { type FlowEvent, type Offer, type OfferOptions, offered, type Runnable } from './offer.js';

/** A JSON schema. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** How a workflow is a tool. `C`: what it is called with. */
export interface FlowToolOptions<C> extends OfferOptions<C> {
  /** What it is good for: models decide by that. Default: the `description` of the workflow, or its name and tasks. */
  readonly description?: string;
  /**
   * JSON schema of what it is called with, an object. Default: that of the workflow's input, where the library of its
   * schema can tell; what is no object is called `input` in one.
   */
  readonly schema?: JsonSchema;
}

/** A question that a call of a tool waits for. */
export type AskedQuestion = Omit<OpenQuestion, 'askedAt'>;

/** Whom a call of a tool talks to. */
export interface FlowCall {
  readonly signal: AbortSignal;
  /** Each event of the run. */
  event?(event: WorkflowEvent): void;
  /**
   * Asks a person; `signal` is aborted when there is nothing to answer any more. What it throws ends the run. Undefined: a
   * question without a deadline ends the run.
   */
  readonly ask: ((question: AskedQuestion, signal: AbortSignal) => PromiseLike<unknown>) | undefined;
}

/** What is offered where one is for all calls; undefined for a function that makes one for each. */
export function runnableOf<C>(offer: Offer<C>): Runnable | undefined {
  return typeof offer === 'function' ? undefined : offer;
}

/** What models read of a workflow that says nothing of itself. */
function descriptionOf({ settings, ids }: WorkflowDefinition): string {
  const { name, description } = settings;
  if (description !== undefined) return description;
  const more = ids.length > 10 ? ` and ${ids.length - 10} more` : '';
  return `Runs the workflow "${truncate(name)}": ${ids.slice(0, 10).map(truncate).join(', ')}${more}.`;
}

/** What a tool is called with, and the input it makes of a call. */
interface ToolInput {
  readonly schema: JsonSchema;
  input(call: unknown): unknown;
}

/**
 * What models see of an offer, and the input that a call gives: what the options say, else what the workflow tells of
 * itself. `unnamed` describes one that is made for each call; `convert` knows more libraries of schemas.
 */
export function toolOf<C>(
  offer: Offer<C>,
  options: FlowToolOptions<C>,
  unnamed: string,
  convert?: (schema: StandardSchema) => JsonSchema | undefined,
): { readonly description: string; readonly schema: JsonSchema; input(call: C): unknown } {
  const definition = runnableOf(offer)?.definition();
  const { schema, input }: ToolInput =
    definition === undefined
      ? { schema: { type: 'object' }, input: () => undefined }
      : toolInputOf(definition.settings.input, convert);
  return {
    description: options.description ?? (definition === undefined ? unnamed : descriptionOf(definition)),
    schema: options.schema ?? schema,
    input: options.input ?? input,
  };
}

/**
 * Of the input's schema a JSON schema of an object; `convert` knows more libraries. Without any: a workflow with an input
 * takes any object, others an empty one.
 */
function toolInputOf(
  input: StandardSchema | undefined,
  convert: (schema: StandardSchema) => JsonSchema | undefined = () => undefined,
): ToolInput {
  const same = (call: unknown): unknown => call;
  if (input === undefined)
    return {
      schema: { type: 'object', properties: {}, additionalProperties: false },
      input: () => undefined,
    };
  const found = jsonSchemaOf(input) ?? convert(input);
  if (found === undefined) return { schema: { type: 'object' }, input: same };
  const { $schema: _, ...schema } = found;
  if (schema.type === 'object') return { schema, input: same };
  return {
    schema: {
      type: 'object',
      properties: { input: schema },
      required: ['input'],
      additionalProperties: false,
    },
    input: (call) => (call as { readonly input?: unknown } | undefined)?.input,
  };
}

/**
 * Runs a workflow for one call; resolves with its answer. Rejects with PartialWorkflowError; RxhiveError INVALID_INPUT; what
 * `ask` throws; the reason of the signal.
 */
export async function callFlow<C>(
  options: FlowToolOptions<C> & { readonly offer: Offer<C>; input(call: C): unknown },
  call: C,
  { signal, event, ask }: FlowCall,
): Promise<unknown> {
  const stop = new AbortController();
  const unlink = onAbort(signal, (reason) => stop.abort(reason));
  const asking = new Map<string, AbortController>();
  const told = (one: FlowEvent): void => {
    event?.(one);
    if (one.type !== 'question' || !['asked', 'answered', 'expired'].includes(one.reason)) return;
    asking.get(one.questionId)?.abort();
    if (one.reason !== 'asked') return;
    const left = new AbortController();
    asking.set(one.questionId, left);
    askPerson(one, ask, left.signal).catch((error: unknown) => {
      if (!left.signal.aborted) stop.abort(error);
    });
  };
  const emitter = { emit: async (_: string, one: unknown) => told(one as FlowEvent) };
  try {
    const { answer } = await offered({ ...options, events: 'all' }, call, { signal: stop.signal, emitter });
    return answer;
  } finally {
    for (const left of asking.values()) left.abort();
    unlink();
  }
}

/** So often a person may answer what does not fit. */
const mostTries = 10;

async function askPerson(
  asked: FlowEvent<QuestionEvent>,
  ask: FlowCall['ask'],
  signal: AbortSignal,
): Promise<void> {
  const { questionId: id, taskId, deadline, prompt = '', context, schema, answer } = asked;
  if (ask === undefined) {
    if (deadline !== undefined) return;
    const message = `The workflow asks "${truncate(prompt)}", and nobody can be asked here; give the question a deadline and a default.`;
    throw new RxhiveError('RUN_SUSPENDED', message);
  }
  const more = {
    ...(context !== undefined && { context }),
    ...(schema !== undefined && { schema }),
    ...(deadline !== undefined && { deadline }),
  };
  let text = prompt;
  for (let tries = 1; ; tries += 1) {
    const question = { id, taskId, prompt: text, ...more };
    const value = await ask(question, signal);
    if (signal.aborted) return;
    try {
      return await answer?.(value);
    } catch (error) {
      if (!(error instanceof AnswerRefusedError) || tries === mostTries) throw error;
      const issues = error.issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
      text = `${prompt}\n(${truncate(issues.join('; '))})`;
    }
  }
}
