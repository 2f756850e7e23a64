import type { WorkflowResult } from '../model/result.js';
import { toldQuestion } from './open-questions.js';
import { named, quoted } from './stored.js';

/** Where a run is kept, so that it can go on. */
export interface Kept {
  readonly store: string;
  readonly runId: string;
}

/** How a run ended, as data. */
export function asDocument(result: WorkflowResult, kept: Kept | undefined): object {
  const { status, report, questions, error } = result;
  const next = nextCall(result, kept);
  return {
    status,
    runId: report.runId,
    tasks: [...result.tasks.values()],
    wallMs: report.wallMs,
    ...(error !== undefined && { error }),
    ...(questions.length > 0 && { questions }),
    ...(next !== undefined && { next }),
  };
}

/** What is said behind the report of a run that has not succeeded: what people are asked, and how it goes on. */
export function goingOn(result: WorkflowResult, kept: Kept | undefined, now: number): readonly string[] {
  const { questions, report } = result;
  const asked = questions.map((one) => toldQuestion({ run: report.runId, ...one }, now));
  const next = nextCall(result, kept);
  if (next !== undefined) return [...asked, `to go on: ${next}`];
  if (questions.length > 0)
    return [
      ...asked,
      'Nobody can answer, for this run is not kept: run it with --store FILE, then rxhive answer FILE; or with --dashboard, and answer there.',
    ];
  return result.status === 'cancelled' ? ['This run is not kept; one with --store FILE can be resumed.'] : [];
}

/** The call that goes on with it; undefined where there is nothing to go on with. */
function nextCall({ status, questions }: WorkflowResult, kept: Kept | undefined): string | undefined {
  if (kept === undefined || status === 'succeeded') return undefined;
  const of = `${named(kept.store)} --run ${quoted(kept.runId)}`;
  if (status === 'cancelled') return `rxhive resume ${of}`;
  if (status !== 'suspended') return `rxhive resume ${of} --retry-failed`;
  // It was drained: nobody has to say anything.
  if (questions.length === 0) return `rxhive resume ${of}`;
  const [only] = questions;
  const which = questions.length === 1 && only !== undefined ? ` ${quoted(only.id)} VALUE` : '';
  return `rxhive answer ${named(kept.store)}${which} --run ${quoted(kept.runId)}`;
}
