export { AgentError, type AgentErrorKind } from './adapters/agent-error.js';
export {
  type AdaptedAgent,
  AgentPool,
  type AgentSource,
  adaptAgent,
  agentPool,
  type Progress,
  type PromptMapping,
  promptOf,
} from './adapters/contract.js';
export { fromAsyncIterable } from './adapters/iterable.js';
export {
  sequentialThinking,
  type ThinkingOptions,
  type ThinkingStep,
  type ThoughtRecorder,
} from './adapters/thinking/sequential-thinking.js';
export { thinkingModel } from './adapters/thinking/thinking-model.js';
export type { Thought, ThoughtDraft } from './adapters/thinking/thought.js';
export { Collection, collection } from './codec/collection.js';
export { fallback } from './fallback.js';
export type { History, PastSnapshot, PastTask, RunDifference } from './history.js';
export type { Clock } from './kernel/clock.js';
export {
  AnswerRefusedError,
  type CancelReason,
  CheckpointCorruptError,
  type DefinitionFault,
  type ErrorCode,
  InvalidMessageError,
  InvalidResultError,
  LimitExceededError,
  RxhiveError,
  TaskTimeoutError,
  type TimeoutKind,
  TransactionConflictError,
  WorkflowCancelledError,
  WorkflowDefinitionError,
} from './kernel/errors.js';
export type { ProviderLimit } from './kernel/http-headers.js';
export type { MaybePromise } from './kernel/maybe-promise.js';
export { bottleneck } from './limiters/bottleneck.js';
export { virtual } from './limiters/sliding-window.js';
export { type Adaptive, type AdaptiveOptions, adaptive } from './model/adaptive.js';
export {
  type Agent,
  type AgentCall,
  type AgentDependency,
  type AgentFunction,
  AgentTask,
  type AgentTaskOptions,
} from './model/agent.js';
export type { BreakerOptions, BreakerState } from './model/breaker.js';
export type { Breakpoint, StartingTask } from './model/breakpoint.js';
export type { BudgetLimit, BudgetOptions, BudgetReport, BudgetState, Caps } from './model/budget.js';
export type { CacheOptions } from './model/cache.js';
export type { Candidate, FallbackOptions } from './model/candidate.js';
export {
  type AnyChannel,
  type AskOptions,
  type Channel,
  type ChannelOptions,
  channel,
  type Inbox,
  type Message,
  type MessageOf,
  type ReceiveOneOptions,
  type ReceiveOptions,
  type Request,
  type SendOptions,
} from './model/channel.js';
export type { GroupState, Recipe, Shared, TaskContext, Usage } from './model/context.js';
export type { EachItem, EachOptions, EachResult, Items } from './model/each.js';
export type {
  AttemptEvent,
  BreakerEvent,
  BudgetEvent,
  CacheEvent,
  GroupEvent,
  LimitsEvent,
  LogEvent,
  MemoryEvent,
  MessageEvent,
  PlanEvent,
  PlannedTask,
  QuestionEvent,
  RunEvent,
  StateEvent,
  TaskEvent,
  UsageEvent,
  ValueEvent,
  WorkflowEvent,
} from './model/event.js';
export type { Executor, Place } from './model/executor.js';
export type { HedgeOptions } from './model/hedge.js';
export type {
  GroupLimits,
  Limiter,
  LimiterClient,
  LimiterSeat,
  LimiterSettings,
  LimiterState,
  Permit,
  PermitRequest,
  WindowName,
  WindowState,
} from './model/limiter.js';
export type { LoadSample } from './model/load.js';
export type { MemoryOptions } from './model/memory.js';
export type { AttemptCall, Middleware, RunCall, TaskCall, TaskEnd } from './model/middleware.js';
export { PartialWorkflowError } from './model/partial-error.js';
export {
  type Backoff,
  type ExponentialOptions,
  exponential,
  type RetryOptions,
  type TimeoutOptions,
} from './model/policy.js';
export { human, type OpenQuestion, type Question, type QuestionOptions } from './model/question.js';
export type {
  AddedDependency,
  AddedRecord,
  AddedTask,
  AnswerRecord,
  AttemptRecord,
  BegunRecord,
  CommitRecord,
  DroppedRecord,
  FailedRecord,
  LoggedUsage,
  LogRecord,
  MessageRecord,
  QuestionRecord,
  ReaderRecord,
  ReplyRecord,
  ResumedRecord,
  RunRecord,
  StatePatch,
  StatePath,
  StateRecord,
  StoppedRecord,
  UsageRecord,
  WaitTimes,
} from './model/record.js';
export type {
  AttemptReport,
  Results,
  RunReport,
  Snapshot,
  SpeedUp,
  TaskReport,
  TaskReports,
  Waits,
  WorkflowResult,
} from './model/result.js';
export type { ForkOptions, RunOptions } from './model/run-options.js';
export { type SchemaIssue, type StandardSchema, typed } from './model/schema.js';
export type { RunStatus, TaskStatus } from './model/status.js';
export type {
  CheckpointStore,
  Durability,
  LogEntry,
  RunLog,
  StoredRun,
  StoreFailure,
} from './model/store.js';
export {
  type Choice,
  type Dependencies,
  type Dependency,
  type InputsOf,
  latest,
  optional,
  orElse,
  quorum,
  type ResultOf,
  race,
  type Settled,
  settled,
  type Task,
  type TaskOptions,
  type TaskSettings,
  type TaskType,
  type TaskTypeOptions,
  type TaskWork,
  type TypedTaskOptions,
} from './model/task.js';
export type { Price, UsageReport } from './model/usage.js';
export type { FailurePolicy, GroupOptions, SchedulingPolicy, WorkflowOptions } from './model/workflow.js';
export { type BufferedOptions, buffered } from './observe/buffered.js';
export type { LearntDuration } from './observe/durations.js';
export { type EventLogOptions, eventLines, readEventLog } from './observe/event-log.js';
export type { RedactOptions } from './observe/redact.js';
export { type OrchestratorOptions, WorkflowOrchestrator } from './orchestrator.js';
export { checkWorkflow, type Finding } from './plan/check.js';
export type { NoPromise, Run } from './run.js';
export { type RunWorkflowOptions, runWorkflow } from './run-workflow.js';
export { type MemoryDump, MemoryStore, memory } from './stores/memory.js';
export { type PruneOptions, prune } from './stores/prune.js';
export { type AddTask, type AnswerOptions, type Workflow, workflow } from './workflow.js';
