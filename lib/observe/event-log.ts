import { map, type OperatorFunction } from 'rxjs';
import { RxhiveError } from '../kernel/errors.js';
import { isRecord } from '../kernel/plain.js';
import type { WorkflowEvent } from '../model/event.js';
import { JsonWriter } from './json-writer.js';
import { type RedactOptions, Redactor } from './redact.js';

/** How events become text. */
export interface EventLogOptions {
  /** Secrets to hide beside the known ones; false hides nothing. */
  readonly redact?: RedactOptions | false;
  /** Longest text within an event, in characters; longer ones are cut and say so. Default 20,000. */
  readonly longestText?: number;
}

/**
 * Events as lines of JSON, one each: what `rxhive run --log` writes and report, inspect and dashboard read. Results,
 * errors and messages are made fit for JSON; secrets are hidden by the name of their field and by their look.
 */
export function eventLines(options: EventLogOptions = {}): OperatorFunction<WorkflowEvent, string> {
  const write = eventWriter(options);
  return map(write);
}

/** The function behind {@link eventLines}. */
export function eventWriter(options: EventLogOptions = {}): (event: WorkflowEvent) => string {
  const { redact = {}, longestText = 20_000 } = options;
  const writer = new JsonWriter(redact === false ? undefined : new Redactor(redact), longestText);
  return (event) => writer.event(event);
}

/**
 * Reads what {@link eventLines} wrote. A last line that is torn is left out: the writer may have died.
 * @throws RxhiveError INVALID_INPUT with the number of a line that is no event
 */
export function readEventLog(text: string): WorkflowEvent[] {
  const lines = text.split('\n');
  const last = lines.findLastIndex((line) => line.trim() !== '');
  return lines.slice(0, last + 1).flatMap((line, i) => {
    if (line.trim() === '') return [];
    let event: Partial<WorkflowEvent> | undefined;
    try {
      event = JSON.parse(line) as Partial<WorkflowEvent>;
    } catch {
      if (i === last && i > 0) return [];
    }
    if (isEvent(event)) return [event];
    const message = `Line ${i + 1} is no event of a run; give a file that rxhive run --log has written.`;
    throw new RxhiveError('INVALID_INPUT', message);
  });
}

const ofTasks: readonly unknown[] = ['task', 'attempt', 'value', 'usage', 'log', 'message', 'question'];

/** Has it what all that read events go by? Whatever else is wrong is data, which they show as it is. */
function isEvent(event: unknown): event is WorkflowEvent {
  if (!isRecord(event)) return false;
  const { type, reason, seq, at, runId, taskId, tasks } = event;
  if (typeof type !== 'string' || typeof reason !== 'string' || typeof runId !== 'string') return false;
  if (!Number.isFinite(seq) || !Number.isFinite(at)) return false;
  if (ofTasks.includes(type) && typeof taskId !== 'string') return false;
  return type !== 'plan' || (Array.isArray(tasks) && tasks.every(isPlanned));
}

function isPlanned(task: unknown): boolean {
  if (!isRecord(task) || typeof task.id !== 'string' || !Array.isArray(task.dependencies)) return false;
  return task.dependencies.every((one) => isRecord(one) && typeof one.id === 'string');
}
