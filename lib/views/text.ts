import { withoutAddress } from '../kernel/errors.js';
import { escapeControl } from '../kernel/escape-control.js';
import type { TaskStatus } from '../model/status.js';
import type { SpanKind } from './run-view.js';

export { escapeControl };

/** Ms as people read them. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return '–';
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.round((ms % 60_000) / 1_000)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A whole number with groups of three. */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** One line, so long that it can be shown; the rest is told as a number. */
export function short(text: string, most = 80): string {
  const line = escapeControl(text.replaceAll(/\s+/g, ' '));
  // No half of a pair: it could not be shown.
  return line.length > most ? `${line.slice(0, most - 1).replace(/[\ud800-\udbff]$/, '')}…` : line;
}

/** Text for SVG, where also what no XML may hold has to be spelled out. */
export function xml(text: string): string {
  return escapeControl(text)
    .replaceAll(
      /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]|[\ufffe\uffff]/g,
      '\ufffd',
    )
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** A value as text for people; never longer than `most` characters. */
export function shownValue(value: unknown, most = 20_000): string {
  const text = typeof value === 'string' ? value : (safeJson(value) ?? String(value));
  const cut = text.length > most ? `${text.slice(0, most)}\n… ${text.length - most} more characters` : text;
  return cut.split('\n').map(escapeControl).join('\n');
}

function safeJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value, undefined, 2);
  } catch {
    return undefined;
  }
}

/** The message of an error as it stands in a log, without the address of its code. */
export function messageOf(error: unknown): string {
  if (typeof error === 'object' && error !== null) {
    const { name, code, message } = error as { name?: unknown; code?: unknown; message?: unknown };
    const kind = typeof code === 'string' ? code : typeof name === 'string' ? name : 'error';
    return `${kind}: ${typeof message === 'string' ? withoutAddress(message) : shownValue(error, 500)}`;
  }
  return shownValue(error, 500);
}

/** The status of a task, in words. */
export function statusOf({
  status,
  tolerated,
}: {
  readonly status: TaskStatus;
  readonly tolerated: boolean;
}): string {
  return tolerated ? `${status}, tolerated` : status;
}

/** Waits by name. */
export const spanNames: Readonly<Record<SpanKind, string>> = {
  dependencies: 'waits for dependencies',
  slot: 'waits for a slot',
  permit: 'waits for a permit',
  backoff: 'backs off',
  suspended: 'suspended',
  running: 'runs',
};
