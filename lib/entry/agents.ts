// Agents, thinking, and what agents say to each other and to people.
export type { AgentErrorKind } from '../adapters/agent-error.js';
export {
  type AdaptedAgent,
  AgentPool,
  type AgentSource,
  type Progress,
  type PromptMapping,
  promptOf,
} from '../adapters/contract.js';
export {
  sequentialThinking,
  type ThinkingOptions,
  type ThinkingStep,
  type ThoughtRecorder,
} from '../adapters/thinking/sequential-thinking.js';
export { thinkingModel } from '../adapters/thinking/thinking-model.js';
export type { Thought, ThoughtDraft } from '../adapters/thinking/thought.js';
export type { AgentCall, AgentDependency, AgentFunction } from '../model/agent.js';
export type { Candidate, FallbackOptions } from '../model/candidate.js';
export type {
  AnyChannel,
  AskOptions,
  ChannelOptions,
  Inbox,
  MessageOf,
  ReceiveOneOptions,
  ReceiveOptions,
  Request,
  SendOptions,
} from '../model/channel.js';
export type { CallbackAddress, CallbackOptions, Question, QuestionOptions } from '../model/question.js';
export { WorkerLostError } from '../model/worker.js';
