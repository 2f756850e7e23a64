import { createHash } from 'node:crypto';
import { inspect, RxhiveError } from '../kernel/errors.js';
import type { Where } from './transport.js';

/** Longest part of the name of a queue that is not shortened: PostgreSQL takes 63 bytes with the id of the worker. */
const longest = 16;

/** Name of the queue that carries orders to workers of a kind. */
export function workQueue(name: string, { labels, version }: Where): string {
  // Asked for with each order, most of which have one label or none.
  const kind = (labels.length < 2 ? labels : [...new Set(labels)].sort()).join('+');
  const key = `${kind}.${version}`;
  const isShort = key.length <= longest && /^[\w.+=-]*$/.test(key);
  return `{${name}}.work.${isShort ? key : createHash('sha256').update(key).digest('hex').slice(0, longest)}`;
}

/** @throws RxhiveError INVALID_OPTION */
export function checkWhere(labels: unknown, version: unknown): void {
  const isList =
    Array.isArray(labels) && labels.every((one) => typeof one === 'string' && one.trim() === one);
  if (!isList)
    throw new RxhiveError(
      'INVALID_OPTION',
      `labels is ${inspect(labels)}; give a list of texts such as 'gpu' or 'region=eu'.`,
    );
  if (typeof version !== 'string' || version === '')
    throw new RxhiveError('INVALID_OPTION', `version is ${inspect(version)}; give a text such as '2'.`);
}

/** What a worker is called for BullMQ: who it is, and how many attempts it takes. */
export function presenceName(id: string, slots: number): string {
  return `${id}~${slots}`;
}

/** Reads {@link presenceName} at the end of a name of a connection. */
export function readPresence(rawName: string): { readonly id: string; readonly slots: number } | undefined {
  const found = /:w:([\w-]+)~(\d+)$/.exec(rawName);
  return found === null ? undefined : { id: found[1] as string, slots: Number(found[2]) };
}

/** A name that queues may have in all backends. @throws RxhiveError INVALID_OPTION */
export function queueName(name: string, option = 'name'): string {
  if (typeof name === 'string' && /^[\w-]{1,20}$/.test(name)) return name;
  throw new RxhiveError(
    'INVALID_OPTION',
    `${option} is ${inspect(name)}; give 1 to 20 letters, digits, _ or -.`,
  );
}
