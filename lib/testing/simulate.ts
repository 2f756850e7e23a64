import { SimulationScheduler } from '../kernel/simulation-scheduler.js';
import type { WorkflowEvent } from '../model/event.js';
import type { WorkflowResult } from '../model/result.js';
import type { Definable } from '../model/workflow.js';
import { eventWriter } from '../observe/event-log.js';
import { TrialRun, type TrialRunOptions } from './explore/trial.js';
import { durationOf } from './marbles/marble-text.js';
import type { TimelinePicture, TimelineRow } from './marbles/timeline.js';
import { drive, virtually } from './virtual-time.js';

/** How {@link simulate} runs a workflow: what `flow.run` takes, and how long. */
export interface SimulateOptions extends TrialRunOptions {
  /** Virtual time after which a run that has not ended is cancelled: ms, or a text such as `8h`. Default `1000h`. */
  readonly until?: number | string;
  /** Seed of everything that is left to chance: jitter and {@link fakeAgent}. Default 1. */
  readonly seed?: number;
}

/** What {@link simulate} has seen. */
export interface Simulation<S = unknown> {
  readonly result: WorkflowResult<S>;
  /** False: it was cancelled at `until`, or waited for something that never came. */
  readonly ended: boolean;
  /** Tasks that had not ended by then, and what each waited for. */
  readonly open: readonly string[];
  readonly events: readonly WorkflowEvent[];
  /** The events as lines of JSON: the same for the same seed, byte for byte. */
  readonly log: string;
  readonly timeline: readonly TimelineRow[];
  /** The run as `timelineSvg` draws it. */
  readonly picture: TimelinePicture;
}

/**
 * Runs a workflow in virtual time to its end: hours take milliseconds. Bodies may return promises; what they wait for
 * has to be virtual too (`ctx.sleep`, timers of rxjs), or be replaced by `agents`, by task id or type.
 * @throws WorkflowDefinitionError; RxhiveError as `flow.run` does
 */
export async function simulate<S = unknown>(
  subject: Definable,
  options: SimulateOptions = {},
): Promise<Simulation<S>> {
  const { until = '1000h', seed = 1, ...rest } = options;
  const scheduler = new SimulationScheduler();
  return virtually(scheduler, async () => {
    const trial = TrialRun.of(subject, scheduler, { runId: `simulation-${seed}`, ...rest, seed });
    trial.start();
    await drive(scheduler, () => trial.ended, durationOf(until));
    const { ended, open } = trial;
    if (!ended) {
      trial.run.cancel();
      // What cleans up has its time.
      await drive(scheduler, () => trial.ended, scheduler.now() + 3_600_000);
    }
    if (trial.failure !== undefined) throw trial.failure;
    const write = eventWriter({ redact: false });
    return {
      result: trial.result as WorkflowResult<S>,
      ended,
      open,
      events: trial.events,
      log: trial.events.map((event) => `${write(event)}\n`).join(''),
      timeline: trial.timeline,
      picture: trial.picture,
    };
  });
}
