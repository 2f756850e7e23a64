// biome-ignore-all assist/source/organizeImports: grouped by what they are for

// Define a workflow
export { collection, Collection } from './codec/collection.js';
export type { TaskContext } from './model/context.js';
export type { EachResult } from './model/each.js';
export { exponential, type RetryOptions, type TimeoutOptions } from './model/policy.js';
export { type StandardSchema, typed } from './model/schema.js';
export type { Task } from './model/dependency.js';
export type { TaskOptions, TaskType } from './model/task.js';
export type { GroupOptions, WorkflowOptions } from './model/workflow.js';
export { checkWorkflow } from './plan/check.js';
export { workflow, type Workflow } from './workflow.js';

// Depend on other tasks
export {
  any,
  type Dependency,
  done,
  failed,
  latest,
  merged,
  optional,
  orElse,
  paired,
  quorum,
  race,
  sampled,
  settled,
} from './model/dependency.js';

// Run it and watch it
export type { WorkflowEvent } from './model/event.js';
export type { Middleware } from './model/middleware.js';
export type { RunReport, TaskReport, WorkflowResult } from './model/result.js';
export type { RunOptions } from './model/run-options.js';
export type { RunStatus, TaskStatus } from './model/status.js';
export { buffered } from './observe/buffered.js';
export { eventLines } from './observe/event-log.js';
export { runWorkflow } from './run-workflow.js';
export type { Run } from './run.js';

// Keep it and go on with it
export type { CheckpointStore } from './model/store.js';
export { memory } from './stores/memory.js';

// Limit it
export { bottleneck } from './limiters/bottleneck.js';
export { virtual } from './limiters/sliding-window.js';
export { adaptive } from './model/adaptive.js';
export { controller, type Controller } from './controller.js';
export type { ControllerOptions } from './model/controller.js';
export type { LimiterSettings } from './model/limiter.js';

// Ask people and send messages
export { channel, type Channel, type Message } from './model/channel.js';
export { callback, human, type OpenQuestion } from './model/question.js';

// Run agents
export { adaptAgent, agentPool } from './adapters/contract.js';
export { fromAsyncIterable } from './adapters/iterable.js';
export { fallback } from './fallback.js';
export { type Agent, AgentTask, type AgentTaskOptions, type OrchestratorOptions } from './model/agent.js';
export type { Usage } from './model/context.js';
export { WorkflowOrchestrator } from './orchestrator.js';

// Errors
export { AgentError } from './adapters/agent-error.js';
export {
  AnswerRefusedError,
  CheckpointCorruptError,
  type ErrorCode,
  InvalidMessageError,
  InvalidResultError,
  LimitExceededError,
  RxhiveError,
  TaskTimeoutError,
  TransactionConflictError,
  WorkflowCancelledError,
  WorkflowDefinitionError,
} from './kernel/errors.js';
export { PartialWorkflowError } from './model/partial-error.js';
