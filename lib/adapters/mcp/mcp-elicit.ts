import { RxhiveError, truncate } from '../../kernel/errors.js';
import type { TaskContext } from '../../model/context.js';
import { human } from '../../model/question.js';
import type { StandardSchema } from '../../model/schema.js';
import { checkOf } from './mcp-schema.js';

/** What a server asks for. */
export interface Elicitation {
  readonly mode?: string;
  readonly message: string;
  readonly requestedSchema?: unknown;
}

/** What a person said, as the protocol has it. */
export interface Elicited {
  readonly action: 'accept' | 'decline' | 'cancel';
  readonly content?: Readonly<Record<string, unknown>>;
}

const longest = 10_000;

/**
 * Asks a person what a server wants to know while it works for a task. The answer is an object with the fields of
 * `context.fields`, or null to decline. Without one in time, or when the attempt ends, the server is told `cancel`.
 */
export async function elicit(
  asked: Elicitation,
  call: { readonly tool: string; readonly ctx: TaskContext },
  server: string,
): Promise<Elicited> {
  const { message, requestedSchema } = asked;
  const check = await checkOf(requestedSchema);
  const answer: StandardSchema<Readonly<Record<string, unknown>> | null> = {
    '~standard': {
      version: 1,
      vendor: 'rxhive',
      validate: (value) => {
        if (value === null) return { value };
        const problem = check(value);
        if (problem !== undefined) return { issues: [{ message: problem }] };
        return { value: value as Readonly<Record<string, unknown>> };
      },
      // Those who answer can make a form of it.
      ...{ jsonSchema: { input: () => requestedSchema } },
    },
  };
  const prompt = message.length > longest ? `${message.slice(0, longest)}…` : message;
  const context = { server: truncate(server), tool: call.tool, fields: requestedSchema };
  try {
    const content = await call.ctx.ask(human(answer, { prompt, context }));
    return content === null ? { action: 'decline' } : { action: 'accept', content: { ...content } };
  } catch (error) {
    if (error instanceof RxhiveError && error.code === 'NOT_SERIALIZABLE') throw error;
    return { action: 'cancel' };
  }
}
