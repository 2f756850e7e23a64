import type { Watch } from '../graph/ports.js';
import type { Clock } from '../kernel/clock.js';
import { defaultSpillAbove } from '../model/memory.js';
import type { ResolvedRunOptions } from '../model/run-options.js';
import type { WorkflowSettings } from '../model/workflow.js';
import { checkKeep } from './compact.js';
import { openFork } from './fork.js';
import type { Compaction, JournalPorts } from './journal.js';
import { Spill } from './spill.js';

/** Where the log of a run is, and how it is written. */
export interface LogPorts
  extends Pick<JournalPorts, 'runId' | 'durability' | 'timeout' | 'clock' | 'row' | 'open' | 'spill'> {
  /** What is in it is another run's. */
  readonly fork: boolean;
  /** Keeps it short; undefined: it grows. */
  readonly compaction: (Omit<Compaction, 'shorten'> & { readonly initial: unknown }) | undefined;
}

/** What a log must be about to be the log of a run. */
export interface RunFacts {
  readonly runId: string;
  readonly workflow: string;
  /** Undefined: that of the log counts. */
  readonly input: { readonly value: unknown } | undefined;
  readonly state: unknown;
  readonly retryFailed: boolean;
  /** Finished tasks that are to run again. */
  readonly rerun: readonly string[];
}

/** What is known of a run before its log is opened. */
export interface LogFacts {
  readonly runId: string;
  readonly clock: Clock;
  readonly settings: WorkflowSettings;
}

/**
 * The log that the options of a run ask for; undefined without a store.
 * @throws RxhiveError INVALID_OPTION
 */
export function logOf(
  options: ResolvedRunOptions,
  { runId, clock, settings }: LogFacts,
  watch: Watch,
): LogPorts | undefined {
  const { store, storeTimeout, durability = 'group', keep: kept, fork } = options;
  const { compact = kept === undefined ? undefined : {} } = options;
  const keep = checkKeep(compact?.keep);
  const { tags = {} } = options;
  return (
    store && {
      runId,
      durability,
      timeout: storeTimeout,
      clock,
      fork: fork !== undefined,
      row: { workflow: settings.name, status: 'running', tags, startedAt: clock.wall() },
      open: () => (fork === undefined ? store.open(runId) : openFork(store, runId, fork)),
      spill: new Spill(store, settings.memory?.spillAbove ?? defaultSpillAbove),
      compaction: compact && {
        keep,
        initial: settings.state,
        read: () => store.read(runId),
        done: (end) => watch.active && watch.emit({ type: 'run', reason: 'compacted', ...end }),
      },
    }
  );
}

/** What the log of a run has to be about. A fork without an input, and a run that goes on with an answer, take that of the log. */
export function factsOf(
  { retry, rerun = [], fork, inputOfLog }: ResolvedRunOptions,
  { name, state }: WorkflowSettings,
  { runId, input }: { readonly runId: string; readonly input: unknown },
): RunFacts {
  return {
    runId,
    workflow: name,
    input:
      inputOfLog === true || (fork !== undefined && fork.input === undefined) ? undefined : { value: input },
    state,
    retryFailed: retry === 'failed',
    rerun: rerun.map((task) => (typeof task === 'string' ? task : task.id)),
  };
}
