import { map, type OperatorFunction } from 'rxjs';
import { RxhiveError } from '../kernel/errors.js';
import type { WorkflowEvent } from '../model/event.js';
import { type RedactOptions, Redactor } from './redact.js';

/** How events become text. */
export interface EventLogOptions {
  /** Secrets to hide beside the known ones; false hides nothing. */
  readonly redact?: RedactOptions | false;
  /** Longest text within an event, in characters; longer ones are cut and say so. Default 20,000. */
  readonly longestText?: number;
}

const deepest = 12;
const mostEntries = 1_000;

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
  const redactor = redact === false ? undefined : new Redactor(redact);
  return (event) => {
    const { type, reason } = event;
    const body = plain(event, { redactor, longestText }, []) as Record<string, unknown>;
    // Ids and reasons decide what an event means; they are not data.
    return JSON.stringify({ ...body, type, reason });
  };
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

interface Writing {
  readonly redactor: Redactor | undefined;
  readonly longestText: number;
}

/** A value as JSON can hold it. Never throws: what cannot be written is described. */
function plain(value: unknown, writing: Writing, above: readonly object[]): unknown {
  switch (typeof value) {
    case 'string':
      return text(value, writing);
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'boolean':
      return value;
    case 'bigint':
      return String(value);
    case 'function':
    case 'symbol':
      return `[${typeof value}]`;
    case 'undefined':
      return undefined;
    default:
      return value === null ? null : ofObject(value as object, writing, above);
  }
}

function ofObject(value: object, writing: Writing, above: readonly object[]): unknown {
  if (above.includes(value)) return '[circle]';
  if (above.length >= deepest) return '[deep]';
  const inner = (one: unknown): unknown => plain(one, writing, [...above, value]);
  try {
    if (Array.isArray(value)) return cut(value, (one) => inner(one) ?? null);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
    if (value instanceof Error) return inner(facts(value));
    if (value instanceof Map) return { map: cut([...value], inner) };
    if (value instanceof Set) return { set: cut([...value], inner) };
    if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
    const keys = Object.keys(value);
    const shown = above.length === 0 ? keys : keys.slice(0, mostEntries);
    return Object.fromEntries(shown.map((key) => [text(key, writing), field(value, key, writing, inner)]));
  } catch (error) {
    return unreadable(error, writing);
  }
}

/** One getter that throws must not hide its neighbours. */
function field(of: object, key: string, writing: Writing, inner: (one: unknown) => unknown): unknown {
  try {
    const value: unknown = (of as Record<string, unknown>)[key];
    return inner(writing.redactor === undefined ? value : writing.redactor.value(key, value));
  } catch (error) {
    return unreadable(error, writing);
  }
}

function unreadable(error: unknown, writing: Writing): string {
  return `[unreadable: ${text(String((error as Error)?.message), writing)}]`;
}

/** A plan may be long; a result that is long is data, not something to look at. */
function cut(list: readonly unknown[], inner: (one: unknown) => unknown): unknown[] {
  return list.length <= 100 * mostEntries
    ? list.map(inner)
    : [...list.slice(0, mostEntries).map(inner), '[cut]'];
}

function facts(error: Error): Record<string, unknown> {
  const { name, message, cause } = error;
  const { code, status, statusCode } = error as unknown as Record<string, unknown>;
  const more = Object.entries({ code, status, statusCode, cause }).filter(([, one]) => one !== undefined);
  return { name, message, ...Object.fromEntries(more) };
}

function text(value: string, { redactor, longestText }: Writing): string {
  const clean = redactor === undefined ? value : redactor.text(value);
  if (clean.length <= longestText) return clean;
  return `${clean.slice(0, longestText)}… (${clean.length} characters)`;
}
