import { inspect, RxhiveError } from '../../kernel/errors.js';
import type { WorkflowEvent } from '../../model/event.js';
import type { WorkflowResult } from '../../model/result.js';
import { type Offer, type OfferOptions, offered } from '../offer.js';

/** The part of the config of a node that is used. */
export interface LangGraphConfig {
  readonly signal?: AbortSignal;
  /** Where a graph is streamed with mode `custom`. */
  readonly writer?: ((chunk: unknown) => void) | undefined;
}

/** How a workflow is a node. `S`: state of the graph, `U`: an update of it. */
export interface LangGraphNodeOptions<S, U> extends Omit<OfferOptions<S>, 'output'> {
  /**
   * The update of the state. Default: the result of the task that no other depends on (of several an object by id): an object is
   * the update, a text a message of the assistant in `messages`. When such a task has no result, the node fails with
   * `PartialWorkflowError`.
   */
  readonly output?: (result: WorkflowResult, state: S) => U;
  /** Events of the run that go to stream mode `custom`. Default: `run`, `task`, `value`, `log` and `question`. */
  readonly events?: readonly WorkflowEvent['type'][];
}

/**
 * A workflow or an orchestrator as a node of a graph of LangGraph. It ends with the graph's signal.
 *
 * ```ts
 * const graph = new StateGraph(State).addNode('research', asLangGraphNode(flow, { output: ({ results }) => ({ found: results.get('all') }) }));
 * ```
 * An event `question` has `answer(value)`: the node waits for it. A function gets the state and makes the workflow.
 */
export function asLangGraphNode<S = Record<string, unknown>, U = Record<string, unknown>>(
  offer: Offer<S>,
  options: LangGraphNodeOptions<S, U> = {},
): (state: S, config?: LangGraphConfig) => Promise<U> {
  const { output, ...parts } = options;
  return async (state, config = {}) => {
    const emit = async (_: string, event: unknown): Promise<void> => config.writer?.(event);
    const signal = config.signal ?? new AbortController().signal;
    const { answer } = await offered<S>(
      { ...parts, offer, ...(output && { output: (result) => output(result, state) }) },
      state,
      { signal, emitter: { emit } },
    );
    return (output === undefined ? updateOf(answer) : answer) as U;
  };
}

function updateOf(answer: unknown): unknown {
  if (typeof answer === 'string') return { messages: [{ role: 'assistant', content: answer }] };
  if (answer === undefined || answer === null) return {};
  if (typeof answer === 'object' && !Array.isArray(answer)) return answer;
  const message = `asLangGraphNode: the workflow gives ${inspect(answer)}, which is no update of a state; give output: (result) => ({ ... }).`;
  throw new RxhiveError('INVALID_OPTION', message);
}
