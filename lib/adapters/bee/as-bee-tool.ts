import type { Tool, ToolOutput } from 'beeai-framework/tools/base';
import type { WorkflowEvent } from '../../model/event.js';
import { type Offer, type OfferOptions, offered } from '../offer.js';
import { loadBee, type NativeContext } from './bee-module.js';

/** How a workflow is a tool. `C`: what the model calls it with. */
export interface BeeToolOptions<C> extends OfferOptions<C> {
  /** Letters, digits, `-` and `_`. */
  readonly name: string;
  /** What it is good for: the model decides by that. */
  readonly description: string;
  /** Schema of what the model calls it with: of zod 3, or a JSON schema. */
  readonly schema: object;
  /** Events of the run that are events of the tool. Default: as of {@link asBeeAgent}. */
  readonly events?: readonly WorkflowEvent['type'][];
}

/**
 * A workflow or an orchestrator as a tool of BeeAI's agents: a `DynamicTool`, which runs it once a call. Its output is text,
 * or JSON of what is no text.
 *
 * ```ts
 * const tool = await asBeeTool(flow, { name: 'prices', description: '...', schema: z.object({ product: z.string() }) });
 * ```
 * Rejects with RxhiveError INVALID_OPTION when beeai-framework is not installed.
 */
export async function asBeeTool<C = Record<string, unknown>>(
  offer: Offer<C>,
  options: BeeToolOptions<C>,
): Promise<Tool<ToolOutput>> {
  const { name, description, schema, ...parts } = options;
  const { DynamicTool, StringToolOutput, JSONToolOutput } = await loadBee();
  const handler = async (call: C, _: unknown, context: NativeContext): Promise<object> => {
    const { answer } = await offered({ ...parts, offer }, call, context);
    return typeof answer === 'string' ? new StringToolOutput(answer) : new JSONToolOutput(answer ?? null);
  };
  return new DynamicTool({ name, description, inputSchema: schema, handler });
}
