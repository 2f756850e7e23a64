import type { BaseAgent } from 'beeai-framework/agents/base';
import type { RequirementAgentRunInput } from 'beeai-framework/agents/requirement/types';
import type { AssistantMessage } from 'beeai-framework/backend/message';
import type { Emitter } from 'beeai-framework/emitter/emitter';
import type { BaseMemory } from 'beeai-framework/memory/base';
import type { WorkflowEvent } from '../../model/event.js';
import type { WorkflowResult } from '../../model/result.js';
import { type FlowEvent, type Offer, type OfferOptions, offered } from '../offer.js';
import { ownEmitter } from './bee-copy.js';
import { type Bee, loadBee, type NativeContext } from './bee-module.js';

/** What an agent made of a workflow is asked. */
export interface BeeCall {
  /** The prompt; without one, as after a handoff, the last thing the user has said. */
  readonly prompt: string;
  readonly context: string | undefined;
  /** As it was given: a text or a schema. */
  readonly expectedOutput: unknown;
  /** The whole conversation: the agent's memory, and the prompt as its last message. */
  readonly messages: readonly { readonly role: string; readonly text: string }[];
}

/** The input of an agent made of a workflow: that of BeeAI's own agents. */
export interface FlowAgentInput extends Pick<RequirementAgentRunInput, 'context' | 'expectedOutput'> {
  /** Without it the conversation in its memory says what is asked. */
  readonly prompt?: string;
}

/** What an agent made of a workflow gives. */
export interface FlowAgentOutput {
  /** The answer as text; one that is no text as JSON. */
  readonly result: AssistantMessage;
  readonly memory: BaseMemory;
  /** All about the run: results, report, state. */
  readonly workflow: WorkflowResult;
}

/** Events of an agent made of a workflow, by type: `agent.rxhive.task` and so on. */
export type FlowAgentEvents = {
  [T in WorkflowEvent['type']]: (event: FlowEvent<Extract<WorkflowEvent, { readonly type: T }>>) => unknown;
};

/** A workflow as an agent of BeeAI. */
export interface FlowAgent
  extends BaseAgent<FlowAgentInput, FlowAgentOutput, { readonly signal?: AbortSignal }> {
  readonly emitter: Emitter<FlowAgentEvents>;
}

/** How a workflow is an agent. */
export interface BeeAgentOptions extends OfferOptions<BeeCall> {
  /** Name for handoffs and workflows of BeeAI. Default: that of the workflow; of a function `workflow`. */
  readonly name?: string;
  /** What it is good for: models that may hand over to it decide by that. Default: says its name. */
  readonly description?: string;
  /** The input of the run. Default: `{ prompt }`. */
  readonly input?: (call: BeeCall) => unknown;
  /** What it remembers at the beginning. Default: nothing. */
  readonly memory?: BaseMemory;
  /** Events of the run that are events of the agent. Default: `run`, `task`, `value`, `log` and `question`. */
  readonly events?: readonly WorkflowEvent['type'][];
}

/**
 * A workflow or an orchestrator as an agent of BeeAI: a `BaseAgent` with memory, emitter, abort and `clone()`, for
 * `HandoffTool`, `AgentWorkflow`, or steps of a `Workflow`. A run of the agent is a run of the workflow. A function gets what
 * is asked and makes the workflow: orchestrators whose tasks carry the prompt want that.
 *
 * ```ts
 * const research = await asBeeAgent(flow, { description: 'Researches a topic, several sources at once' });
 * const agent = new RequirementAgent({ llm, memory, tools: [new HandoffTool(research)] });
 * ```
 *
 * Unlike those of BeeAI its clones share no memory, and several runs of one may go on at once.
 * Rejects with RxhiveError INVALID_OPTION when beeai-framework is not installed.
 */
export async function asBeeAgent(offer: Offer<BeeCall>, options: BeeAgentOptions = {}): Promise<FlowAgent> {
  const bee = await loadBee();
  const name = options.name ?? (typeof offer === 'function' ? 'workflow' : offer.definition().settings.name);
  const description = options.description ?? `Runs the workflow "${name}".`;
  const memory = options.memory ?? new bee.UnconstrainedMemory();
  agentClass ??= classOf(bee);
  const input = options.input ?? promptAlone;
  return new agentClass({ ...options, offer, name, description, memory, input }) as unknown as FlowAgent;
}

function promptAlone({ prompt }: BeeCall): unknown {
  return { prompt };
}

interface Parts extends BeeAgentOptions {
  readonly offer: Offer<BeeCall>;
  readonly name: string;
  readonly description: string;
  readonly memory: BaseMemory;
}

/** BeeAI registers classes by name, so there is one. */
let agentClass: (new (parts: Parts) => object) | undefined;

function classOf(bee: Bee): new (parts: Parts) => object {
  // Clones are not constructed: all that they need is in their snapshot, so there are no private fields.
  return class RxhiveAgent extends bee.BaseAgent {
    emitter: unknown;
    parts: Parts;
    memory: BaseMemory;
    remembering: Promise<unknown> = Promise.resolve();

    constructor(parts: Parts) {
      super();
      this.parts = parts;
      this.memory = parts.memory;
      this.emitter = bee.Emitter.root.child({ namespace: ['agent', 'rxhive'], creator: this });
    }

    get meta(): object {
      const { name, description } = this.parts;
      return { name, description, tools: [] };
    }

    override async createSnapshot(): Promise<object> {
      const { parts, emitter } = this;
      return { ...super.createSnapshot(), parts, emitter, memory: await copied(this.memory) };
    }

    override loadSnapshot(snapshot: { readonly emitter: unknown }): void {
      super.loadSnapshot(snapshot);
      this.emitter = ownEmitter(snapshot.emitter, this);
      this.remembering = Promise.resolve();
    }

    /** Runs that go on at once do not get between a question and its answer. */
    remember(messages: readonly object[]): Promise<unknown> {
      const memory = this.memory as unknown as { addMany(messages: readonly object[]): Promise<void> };
      const done = this.remembering.then(() => memory.addMany(messages));
      this.remembering = done.catch(() => undefined);
      return done;
    }

    async _run(input: FlowAgentInput, _: unknown, context: NativeContext): Promise<FlowAgentOutput> {
      const { parts, memory } = this;
      // A handoff gives null.
      const asked = typeof input.prompt === 'string' ? [new bee.UserMessage(input.prompt)] : [];
      const call = callOf(input, [...memory.messages, ...asked]);
      const { answer, result } = await offered(parts, call, context);
      const said = new bee.AssistantMessage(
        typeof answer === 'string' ? answer : JSON.stringify(answer ?? null),
      );
      await this.remember([...asked, said]);
      return { result: said, memory, workflow: result };
    }
  };
}

function callOf({ prompt, context, expectedOutput }: FlowAgentInput, said: BaseMemory['messages']): BeeCall {
  const messages = said.map(({ role, text }) => ({ role, text }));
  const last = messages.findLast(({ role }) => role === 'user')?.text ?? '';
  return { prompt: prompt ?? last, context, expectedOutput, messages };
}

async function copied(memory: BaseMemory): Promise<BaseMemory> {
  return (memory as unknown as { clone(): Promise<BaseMemory> }).clone();
}
