// Types of options and results that few have to name.

export type { StreamResult } from '../controller.js';
export type { Clock } from '../kernel/clock.js';
export type { CancelReason, DefinitionFault, TaskSkippedError, TimeoutKind } from '../kernel/errors.js';
export type { MaybePromise } from '../kernel/maybe-promise.js';
export type { AgentLoopOptions, AgentWorkflowOptions } from '../model/agent.js';
export type { BudgetOptions } from '../model/budget.js';
export type { CacheOptions } from '../model/cache.js';
export type { GroupState, Recipe, Shared, SleepOptions } from '../model/context.js';
export type { FairTask } from '../model/controller.js';
export type {
  Choice,
  Dependencies,
  InputsOf,
  JoinOptions,
  MergedInput,
  Settled,
  StreamMode,
} from '../model/dependency.js';
export type {
  Batched,
  BatchOptions,
  EachItem,
  EachOptions,
  Items,
  ItemsOptions,
  ScanOptions,
} from '../model/each.js';
export type { Executor, Place, PlaceUse, RemoteContext } from '../model/executor.js';
export type { HedgeOptions } from '../model/hedge.js';
export type { LoopOptions, LoopWork, NextValue } from '../model/loop.js';
export type {
  NestedInput,
  NestedOptions,
  NestedOutput,
  NestedSettings,
  NestedValue,
} from '../model/nested.js';
export type { Backoff, ExponentialOptions } from '../model/policy.js';
export type { AttemptReport, Results, Snapshot, SpeedUp, TaskReports, Waits } from '../model/result.js';
export type { RunController } from '../model/run-controller.js';
export type { QueueOptions } from '../model/run-options.js';
export type { SchemaIssue } from '../model/schema.js';
export type { ScheduleOptions, StreamOptions } from '../model/stream-options.js';
export type { ResultOf, TaskSettings, TaskTypeOptions, TaskWork, TypedTaskOptions } from '../model/task.js';
export type { WorkerFacts, WorkerLoss } from '../model/worker.js';
export type { AddTask, FailurePolicy, SchedulingPolicy } from '../model/workflow.js';
export type { Project, TaskOperator } from '../operators/task-operator.js';
export type { Finding } from '../plan/check.js';
export type { NoPromise } from '../run.js';
export type { RunWorkflowOptions } from '../run-workflow.js';
