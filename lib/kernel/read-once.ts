import { messageOf, RxhiveError, truncate } from './errors.js';

/** Names whose values are options too, and what is below those; `*` stands for all names. */
export interface Below {
  readonly [name: string]: Below;
}

/**
 * Options as data: each is read once, so that a getter cannot say another thing later, or throw where nobody expects it.
 * `unread` is told what is wrong, one sentence for each that throws; it is left out. What is no plain object, such as an
 * instance of a class, stays as it is.
 */
export function readOnce<T>(options: T, below: Below, unread: (fault: string) => void, path = ''): T {
  if (typeof options !== 'object' || options === null) return options;
  const read = copied(options, path, unread);
  if (read === options) return options;
  const own = read as Record<string, unknown>;
  for (const name in below['*'] === undefined ? below : own) {
    const inner = own[name];
    if (typeof inner === 'object' && inner !== null)
      own[name] = readOnce(inner, (below['*'] ?? below[name]) as Below, unread, `${path}${name}.`);
  }
  return read as T;
}

/** The same where faults cannot be collected. @throws RxhiveError INVALID_OPTION with all of them */
export function readOrRefuse<T>(whose: string, options: T, below: Below = {}): T {
  const faults: string[] = [];
  const read = readOnce(options, below, (fault) => faults.push(fault));
  if (faults.length === 0) return read;
  throw new RxhiveError('INVALID_OPTION', `${whose}: ${faults.join(' ')}`, { details: { faults } });
}

/** A sentence about an option that throws when it is read. */
export function unreadable(name: string, error: unknown): string {
  return `${name === '' ? 'the options' : truncate(name)} cannot be read, as that throws: ${messageOf(error)}; give a plain value.`;
}

function copied(options: object, path: string, unread: (fault: string) => void): object {
  try {
    if (Array.isArray(options)) return options.slice();
    const prototype: unknown = Object.getPrototypeOf(options);
    return prototype === Object.prototype || prototype === null ? { ...options } : options;
  } catch {
    return oneByOne(options, path, unread);
  }
}

function oneByOne(options: object, path: string, unread: (fault: string) => void): object {
  const read: Record<string, unknown> = {};
  let names: string[];
  try {
    names = Object.keys(options);
  } catch (error) {
    unread(unreadable(path.slice(0, -1), error));
    return read;
  }
  for (const name of names) {
    try {
      read[name] = (options as Record<string, unknown>)[name];
    } catch (error) {
      unread(unreadable(path + name, error));
    }
  }
  return read;
}
