// What happens in a run, and what stands around it: events, logs of events, middleware, breakpoints.
export type { Breakpoint, StartingTask } from '../model/breakpoint.js';
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
} from '../model/event.js';
export type { AttemptCall, RunCall, TaskCall, TaskEnd } from '../model/middleware.js';
export type { BufferedOptions } from '../observe/buffered.js';
export type { LearntDuration } from '../observe/durations.js';
export { type EventLogOptions, readEventLog } from '../observe/event-log.js';
export type { RedactOptions } from '../observe/redact.js';
