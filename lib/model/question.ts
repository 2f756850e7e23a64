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

/** A question to a person, for `ctx.ask`; made by {@link human}. */
export class Question<out T = unknown> {
  /** Type of the answer. Exists for the compiler only. */
  declare readonly '~output': T;
  readonly schema: StandardSchema<T>;
  readonly options: QuestionOptions<T>;

  constructor(schema: StandardSchema<T>, options: QuestionOptions<T>) {
    this.schema = schema;
    this.options = options;
    const problem = problemOf(schema, options);
    if (problem !== undefined) throw new RxhiveError('INVALID_OPTION', `human(): ${problem}`);
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

/** Digits alone are the ids of questions without a key; `?` ends the id of the task. */
function isName(key: string): boolean {
  return /^[^?]+$/s.test(key) && !/^\d+$/.test(key);
}
