import { inspect, RxhiveError } from '../kernel/errors.js';
import { isSchema, type StandardSchema } from './schema.js';

/** What goes with a question. */
export interface QuestionOptions<T = unknown> {
  /** What the person reads. Default: empty. */
  readonly prompt?: string;
  /** What the person needs to decide: a draft, a diff, an amount. Plain data. */
  readonly context?: unknown;
  /**
   * Names the question within its task: its id is `TASKID?KEY`, and its answer is used again whatever the prompt says
   * then. Not only digits, no `?`, at most 200 characters. Default: known again by prompt and context, `TASKID?1` on.
   */
  readonly key?: string;
  /** Ms the answer may take, from the first time it is asked, over all attempts and processes. Default: no limit. */
  readonly deadline?: number;
  /** The answer when the deadline has passed. Default: `ctx.ask` rejects with `TaskTimeoutError`, kind `answer`. */
  readonly default?: T;
}

/** Where a program answers. */
export interface CallbackAddress {
  /** Who has it may answer this one question, and nothing else: `run.answer(token, value)`, `flow.answer(store, runId, token, value)`. */
  readonly token: string;
  /** With `url`: where the value is to be sent, as JSON by POST. */
  readonly url: string | undefined;
}

/** What goes with a question that a program answers. */
export interface CallbackOptions<T = unknown> extends QuestionOptions<T> {
  /**
   * Tells the program where to answer, for instance in the request that starts its work. Called once the question is in the log, by each
   * attempt that asks and has no answer yet, with the same token; may return a promise. What it throws fails the attempt. Default:
   * nobody is told, so that only the id of the question can be used.
   */
  readonly send?: (address: CallbackAddress) => unknown;
  /** Address of a dashboard as the program reaches it, such as `https://hive.example.com`. Default: none. */
  readonly url?: string;
}

/** A question to a person or program, for `ctx.ask`; made by {@link human} and {@link callback}. */
export class Question<out T = unknown> {
  /** Type of the answer. Exists for the compiler only. */
  declare readonly '~output': T;
  readonly schema: StandardSchema<T>;
  readonly options: QuestionOptions<T>;
  /** Made by {@link callback}: how the program is told. */
  readonly callback: Pick<CallbackOptions, 'send' | 'url'> | undefined;

  constructor(schema: StandardSchema<T>, options: QuestionOptions<T>, callback?: Question['callback']) {
    this.schema = schema;
    this.options = options;
    this.callback = callback;
    const problem = problemOf(schema, options) ?? problemOfCallback(callback);
    const name = callback === undefined ? 'human' : 'callback';
    if (problem !== undefined) throw new RxhiveError('INVALID_OPTION', `${name}(): ${problem}`);
  }
}

/**
 * A question to a person, with the schema (zod, valibot, arktype, ...) or `typed<T>()` of its answer:
 * `await ctx.ask(human(typed<boolean>(), 'Publish?'))`. An answer that does not fit is refused. The schema checks what
 * `run.answer` was given, which is what the log keeps; the body gets what the schema returns.
 * @throws RxhiveError INVALID_OPTION
 */
export function human<T>(
  schema: StandardSchema<T>,
  question: string | QuestionOptions<NoInfer<T>> = {},
): Question<T> {
  return new Question<T>(schema, typeof question === 'string' ? { prompt: question } : question);
}

/**
 * A question that a program answers, by a token that it is sent: a webhook, a job somewhere else. It is as durable as one to a person, and the task
 * holds no slot meanwhile; what is answered has to fit the schema.
 *
 * ```ts
 * const paid = await ctx.ask(callback(typed<{ paid: boolean }>(), { url, send: (address) => bank.pay(250, address.url) }));
 * ```
 * @throws RxhiveError INVALID_OPTION
 */
export function callback<T>(
  schema: StandardSchema<T>,
  how: CallbackOptions<NoInfer<T>> | NonNullable<CallbackOptions['send']> = {},
): Question<T> {
  if (typeof how === 'function') return new Question<T>(schema, {}, { send: how });
  const { send, url, ...options } = how ?? {};
  return new Question<T>(schema, options, {
    ...(send !== undefined && { send }),
    ...(url !== undefined && { url }),
  });
}

/** A question nobody has answered yet. */
export interface OpenQuestion {
  /** `TASKID?N` or `TASKID?KEY`: give it to `run.answer` or `flow.answer`. */
  readonly id: string;
  readonly taskId: string;
  readonly prompt: string;
  readonly context?: unknown;
  /** What may be answered, as JSON Schema, where the schema's library says so (zod 4.2 and others). */
  readonly schema?: Readonly<Record<string, unknown>>;
  /** When it was asked first and when its deadline is, in ms as the run's clock counts (by default since 1970). */
  readonly askedAt: number;
  readonly deadline?: number;
  /** A program answers it, by a token: see {@link callback}. */
  readonly callback?: true;
}

const longestKey = 200;

function problemOf(schema: unknown, options: QuestionOptions): string | undefined {
  if (!isSchema(schema))
    return `the schema is ${inspect(schema)}; give a Standard Schema (zod, valibot, arktype, ...) or typed<T>().`;
  if (typeof options !== 'object' || options === null)
    return `the question is ${inspect(options)}; give a text or { prompt }.`;
  const { prompt, key, deadline } = options;
  if (prompt !== undefined && typeof prompt !== 'string') return `prompt is ${inspect(prompt)}; give a text.`;
  if (key !== undefined && !(typeof key === 'string' && key.length <= longestKey && isName(key)))
    return `key is ${inspect(key)}; give a name without "?", not only digits, of at most ${longestKey} characters.`;
  if (deadline !== undefined && !(Number.isFinite(deadline) && deadline > 0))
    return `deadline is ${inspect(deadline)}; give ms above 0, or leave it out for no limit.`;
  if (options.default !== undefined && deadline === undefined)
    return 'default has no effect without deadline; give both.';
  return undefined;
}

function problemOfCallback({ send, url }: NonNullable<Question['callback']> = {}): string | undefined {
  if (send !== undefined && typeof send !== 'function')
    return `send is ${inspect(send)}; give a function of { token, url }.`;
  if (url !== undefined && !(typeof url === 'string' && /^https?:\/\/\S+$/.test(url)))
    return `url is ${inspect(url)}; give an address that begins with http:// or https://.`;
  return undefined;
}

const tokenOf = /^rxcb_[0-9a-f]{32}$/;

/** Is it a token, not the id of a question? */
export function isToken(text: string): boolean {
  return tokenOf.test(text);
}

/** What a program is sent. */
export function addressOf(token: string, url: string | undefined): CallbackAddress {
  return { token, url: url === undefined ? undefined : `${url.replace(/\/+$/, '')}/answers/${token}` };
}

/** Digits alone are the ids of questions without a key; `?` ends the id of the task. */
function isName(key: string): boolean {
  return /^[^?]+$/s.test(key) && !/^\d+$/.test(key);
}
