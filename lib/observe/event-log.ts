import { map, type OperatorFunction } from 'rxjs';
import { RxhiveError } from '../kernel/errors.js';
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
    if (
      typeof event?.type === 'string' &&
      typeof event.reason === 'string' &&
      Number.isFinite(event.seq) &&
      Number.isFinite(event.at)
    )
      return [event as WorkflowEvent];
    const message = `Line ${i + 1} is no event of a run; give a file that rxhive run --log has written.`;
    throw new RxhiveError('INVALID_INPUT', message);
  });
}
