import { longestTimer } from '../../kernel/clock.js';
import { RxhiveError, truncate } from '../../kernel/errors.js';
import { jsonOrText } from '../../kernel/json-or-text.js';
import type { AskedQuestion, JsonSchema } from '../flow-tool.js';
import type { Elicited } from './mcp-elicit.js';

/** Sends a request to the client. */
export type SendRequest = (request: object, options: object) => Promise<unknown>;

/** A question as a form: what the client shows, and the answer in what it sends back. */
export interface Form {
  readonly requestedSchema: JsonSchema;
  answer(content: Readonly<Record<string, unknown>>): unknown;
}

const simple: ReadonlySet<unknown> = new Set(['string', 'number', 'integer', 'boolean']);
/** What forms may say of a field; clients refuse the rest. */
const allowed = ['type', 'title', 'description', 'default', 'enum', 'enumNames', 'oneOf', 'format', 'items'];
const bounds = ['minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems'];
const formats: ReadonlySet<unknown> = new Set(['email', 'uri', 'date', 'date-time']);
const longest = 4_000;

/** Asks through elicitation. Rejects with RxhiveError RUN_SUSPENDED when the person or the client does not answer. */
export async function askForm(
  question: AskedQuestion,
  signal: AbortSignal,
  send: SendRequest,
): Promise<unknown> {
  const { prompt, context, schema } = question;
  const shown = context === undefined ? '' : JSON.stringify(context, null, 2);
  const more = shown.length > longest ? `${shown.slice(0, longest)}…` : shown;
  const form = formOf(schema);
  const params = {
    mode: 'form',
    message: [prompt, more].filter((part) => part !== '').join('\n\n') || question.id,
    requestedSchema: form.requestedSchema,
  };
  let answer: Elicited;
  try {
    // The deadline is that of the question, if it has one.
    const options = { signal, timeout: longestTimer };
    answer = (await send({ method: 'elicitation/create', params }, options)) as Elicited;
  } catch (cause) {
    const message = `The workflow asks "${truncate(prompt)}", and this client cannot ask anybody (no elicitation).`;
    throw new RxhiveError('RUN_SUSPENDED', message, { cause });
  }
  if (answer.action !== 'accept')
    throw new RxhiveError(
      'RUN_SUSPENDED',
      `The workflow asked "${truncate(prompt)}", and the answer was: ${answer.action}.`,
    );
  return form.answer(answer.content ?? {});
}

/**
 * Forms are objects of simple fields. A schema of such an object is one; a simple value is its only field; anything else
 * is typed in as JSON.
 */
export function formOf(schema: JsonSchema | undefined): Form {
  if (schema === undefined) return typedIn('A text, or JSON');
  const whole = fieldOf(schema);
  if (whole !== undefined)
    return {
      requestedSchema: { type: 'object', properties: { answer: whole }, required: ['answer'] },
      answer: ({ answer }) => answer,
    };
  const { type, properties, required = [] } = schema;
  if (type !== 'object' || typeof properties !== 'object' || properties === null)
    return typedIn(`JSON for ${truncate(JSON.stringify(schema))}`);
  const fields = Object.entries(properties).map(([name, one]) => [name, fieldOf(one)] as const);
  if (fields.some(([, field]) => field === undefined))
    return typedIn(`JSON for ${truncate(JSON.stringify(schema))}`);
  return {
    requestedSchema: { type: 'object', properties: Object.fromEntries(fields), required },
    answer: (content) => content,
  };
}

function typedIn(description: string): Form {
  const answer = { type: 'string', description };
  return {
    requestedSchema: { type: 'object', properties: { answer }, required: ['answer'] },
    answer: ({ answer: text }) => jsonOrText(String(text)),
  };
}

/** A field as forms have it; undefined: it is none. */
function fieldOf(schema: unknown): JsonSchema | undefined {
  const field = (schema ?? {}) as JsonSchema;
  const texts =
    field.type === 'array' && Array.isArray((field.items as { enum?: unknown } | undefined)?.enum);
  if (!simple.has(field.type) && !texts) return undefined;
  const keep = [...allowed, ...bounds].filter((key) => field[key] !== undefined);
  const kept = keep.filter((key) => key !== 'format' || formats.has(field.format));
  return Object.fromEntries(kept.map((key) => [key, field[key]]));
}
