// Stores, and what a store tells of past runs.
export type { History, PastSnapshot, PastTask, RunDifference } from '../history.js';
export type { ForkOptions } from '../model/run-options.js';
export type { ListedRun, RunRow, RunsQuery } from '../model/run-row.js';
export type { Durability, LogEntry, RunLog, StoredRun, StoreFailure } from '../model/store.js';
export { type MemoryDump, MemoryStore } from '../stores/memory.js';
export { type PruneOptions, prune } from '../stores/prune.js';
export type { AnswerOptions } from '../workflow.js';
