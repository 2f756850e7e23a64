import type { WorkflowResult } from '../../model/result.js';
import type { CheckpointStore } from '../../model/store.js';
import { answerOf, type Runnable } from '../offer.js';
import { failed, given, type McpToolResult } from './mcp-result.js';
import type { McpTool } from './served-tool.js';

/** A run that waits for people, in place of its answer. */
export class Suspended {
  readonly result: WorkflowResult;

  constructor(result: WorkflowResult) {
    this.result = result;
  }

  /** The answer of a run, or that it waits. @throws PartialWorkflowError */
  static or(runnable: Runnable, output: Output, result: WorkflowResult): unknown {
    return result.status === 'suspended' ? new Suspended(result) : answerOf(runnable, result, output);
  }
}

/** Nobody answers within the call. */
export function askLater(): Promise<never> {
  return new Promise(() => undefined);
}

type Output = ((result: WorkflowResult) => unknown) | undefined;

/** What can go on with a run: workflows and orchestrators. */
interface Continued {
  answer(
    store: CheckpointStore | string,
    runId: string,
    questionId: string,
    value: unknown,
    options: never,
  ): Promise<WorkflowResult>;
}

/** The tool that answers questions of runs that wait, and goes on with them. */
export function answerTool(
  runnable: Runnable,
  store: CheckpointStore | string,
  { name, output }: { readonly name: string; readonly output: Output },
): McpTool {
  const text = { type: 'string' };
  const inputSchema = {
    type: 'object',
    properties: {
      run: { ...text, description: 'Id of the run that waits.' },
      question: { ...text, description: 'Id of its question.' },
      answer: { description: 'What the user said, as the schema of the question wants it.' },
    },
    required: ['run', 'question', 'answer'],
    additionalProperties: false,
  };
  const description = `Answers a question of a run that waits for people, and goes on with it. Ask the user first; do not make up answers.`;
  return {
    info: { name, description, inputSchema },
    call: async (args, { signal }) => {
      const { run, question, answer } = (args ?? {}) as Readonly<Record<string, unknown>>;
      try {
        const result = await (runnable as unknown as Continued).answer(
          store,
          String(run),
          String(question),
          answer,
          {
            signal,
          } as never,
        );
        if (result.status === 'suspended') return waiting(result, name);
        return given(answerOf(runnable, result, output));
      } catch (error) {
        return failed(error);
      }
    },
  };
}

/** Tells the model what people have to say, and how to go on. */
export function waiting({ report, questions }: WorkflowResult, tool: string): McpToolResult {
  const open = questions.map(({ id, prompt, context, schema }) => ({
    question: id,
    prompt,
    ...(context !== undefined && { context }),
    ...(schema !== undefined && { schema }),
  }));
  const structuredContent = { status: 'suspended', run: report.runId, questions: open };
  const text = `The workflow waits for people. Ask the user, then call ${tool} for each question.\n${JSON.stringify(structuredContent)}`;
  return { content: [{ type: 'text', text }], structuredContent };
}
