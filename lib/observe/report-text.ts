import {
  messageOf,
  type RxhiveError,
  TaskSkippedError,
  truncate,
  WorkflowCancelledError,
} from '../kernel/errors.js';
import type { OpenQuestion } from '../model/question.js';
import type { RunReport, TaskReport } from '../model/result.js';
import { moneyLines } from './spending.js';

/** Lines about tasks that did not succeed. */
const mostLines = 100;
/** Causes that a line names. */
const mostNames = 5;

/** A task that did not succeed. What is dear is asked for where a line tells of it: there can be very many. */
export interface Failure extends Pick<TaskReport, 'id' | 'status' | 'error'> {
  readonly tolerated: boolean;
  attempts(): number;
  skippedBecause(): readonly string[];
}

/** What else there is to tell. */
interface Closing {
  /** Why the run was cancelled. */
  readonly closing: RxhiveError | undefined;
  readonly questions: readonly OpenQuestion[] | undefined;
}

/** The report as people read it. Never throws, whatever was thrown, and is never longer than can be read. */
export function asText(
  report: RunReport,
  failures: Iterable<Failure>,
  { closing, questions = [] }: Closing,
): string {
  const counts = Object.entries(report.counts).filter(([, count]) => count > 0);
  const lines = [
    `${report.workflow}: ${report.status} in ${report.wallMs} ms (work ${report.workMs} ms, retries ${report.retries}${report.lost === 0 ? '' : `, lost ${report.lost}`})`,
    `tasks: ${counts.map(([status, count]) => `${count} ${status}`).join(', ') || 'none'}`,
    ...(closing === undefined ? [] : [messageOf(closing)]),
    ...(report.storeError === undefined || report.storeError === closing
      ? []
      : [`not known to be in the store, the newest of it: ${messageOf(report.storeError)}`]),
    ...failureLines(failures, closing),
    ...moneyLines(report),
  ];
  for (const { id, prompt } of questions)
    lines.push(`waits for an answer to "${truncate(id)}": ${truncate(prompt)}`);
  const path = report.criticalPath.tasks;
  if (path.length > 0)
    lines.push(`critical path, ${report.criticalPath.ms} ms: ${pathOf(path).map(truncate).join(' -> ')}`);
  // Nobody tunes a run of less than a second.
  const saving = report.wallMs < 1_000 ? [] : report.speedUps;
  if (saving.length > 0) {
    const savings = saving.map(({ task, savesMs }) => `"${truncate(task)}" ${savesMs} ms`);
    lines.push(`to speed up; in half its time each saves: ${savings.join(', ')}`);
  }
  return lines.join('\n');
}

/** Each cause once, with the first task it is told of. Once the lines are full, what is left is only counted. */
function failureLines(failures: Iterable<Failure>, closing: RxhiveError | undefined): string[] {
  const found = new Map<string, { readonly verb: string; readonly first: string; more: number }>();
  let left = 0;
  for (const failure of failures) {
    const verb = verbOf(failure, closing);
    if (verb === undefined) continue;
    if (found.size === mostLines) {
      left += 1;
      continue;
    }
    const why = whyOf(failure);
    const known = found.get(`${verb} ${why}`);
    if (known === undefined) found.set(`${verb} ${why}`, { verb, first: failure.id, more: 0 });
    else known.more += 1;
  }
  const lines = [...found].map(([key, { verb, first, more }]) => {
    const others = more === 0 ? '' : ` and ${more} more`;
    return `${verb} "${truncate(first)}"${others}${key.slice(verb.length + 1)}`;
  });
  return left === 0 ? lines : [...lines, `… and ${left} more that failed or were skipped`];
}

function verbOf({ status, error, tolerated }: Failure, closing: unknown): string | undefined {
  if (status === 'failed') return tolerated ? 'tolerated' : 'failed';
  if (status === 'skipped') return status;
  // Those that ended with the run have no reason of their own, those that lost a race have not gone wrong.
  if (status !== 'cancelled' || error === closing) return undefined;
  return error instanceof WorkflowCancelledError && error.reason === 'lost' ? undefined : status;
}

/** The end of a line: what the task failed with, or what it was skipped for. */
function whyOf(failure: Failure): string {
  const { status, error } = failure;
  if (status === 'cancelled') return `: ${messageOf(error)}`;
  if (status !== 'skipped') {
    const attempts = failure.attempts();
    return ` after ${attempts} attempt${attempts === 1 ? '' : 's'}: ${messageOf(error)}`;
  }
  if (error instanceof TaskSkippedError && error.taskId === failure.id) return `: ${error.because}`;
  const skippedBecause = failure.skippedBecause();
  const more = skippedBecause.length > mostNames ? ` and ${skippedBecause.length - mostNames} more` : '';
  return ` because of ${skippedBecause.slice(0, mostNames).map(truncate).join(', ')}${more}`;
}

function pathOf(path: readonly string[]): readonly string[] {
  if (path.length <= 12) return path;
  return [...path.slice(0, 6), `… ${path.length - 11} more …`, ...path.slice(-5)];
}
