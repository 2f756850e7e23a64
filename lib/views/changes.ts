import type { StatePatch } from '../model/record.js';

/** A place in the state that a commit changed. */
export interface Change {
  readonly op: StatePatch['op'];
  readonly path: readonly (string | number)[];
  readonly value?: unknown;
}

/** The changes an event of a commit tells. */
export function changesOf(event: { readonly patches?: readonly StatePatch[] }): readonly Change[] {
  return Array.isArray(event.patches) ? event.patches.filter((one) => Array.isArray(one?.path)) : [];
}

type Node = Record<string | number, unknown> | unknown[];

/** The state after `changes`; what is not touched is shared with `state`. A path that leads nowhere is made. */
export function applyChanges(state: unknown, changes: readonly Change[]): unknown {
  return changes.reduce(applyChange, state);
}

function applyChange(state: unknown, { op, path, value }: Change): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return op === 'remove' ? undefined : value;
  const copy: Node = Array.isArray(state) ? [...state] : { ...(isNode(state) ? state : {}) };
  if (rest.length > 0) put(copy, key, applyChange(at(copy, key), { op, path: rest, value }));
  else if (Array.isArray(copy) && key === 'length')
    copy.length = Math.max(0, Math.min(Number(value) || 0, copy.length));
  else if (Array.isArray(copy) && typeof key === 'number')
    copy.splice(key, op === 'add' ? 0 : 1, ...(op === 'remove' ? [] : [value]));
  else if (op === 'remove') delete (copy as Record<string, unknown>)[key];
  else put(copy, key, value);
  return copy;
}

/** What stands at a path; undefined where nothing does. */
export function valueAt(state: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((value, key) => at(value, key), state);
}

function at(state: unknown, key: string | number): unknown {
  return isNode(state) && Object.hasOwn(state, key)
    ? (state as Record<string | number, unknown>)[key]
    : undefined;
}

/** Sets an own property whatever its name, `__proto__` included. */
function put(target: Node, key: string | number, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null;
}

const everyNth = 200;

/** The state after each commit, without keeping each: every so many are kept, the rest are replayed from there. */
export class StateReplay {
  readonly #kept: unknown[] = [];

  /** State after the first `count` of `commits`, 0 for the initial one. Commits may only be appended between calls. */
  at(initial: unknown, commits: readonly { readonly changes: readonly Change[] }[], count: number): unknown {
    if (this.#kept.length === 0) this.#kept.push(initial);
    const wanted = Math.floor(count / everyNth);
    while (this.#kept.length <= wanted) {
      const from = this.#kept.length - 1;
      this.#kept.push(replay(this.#kept[from], commits, from * everyNth, (from + 1) * everyNth));
    }
    return replay(this.#kept[wanted], commits, wanted * everyNth, count);
  }
}

function replay(
  state: unknown,
  commits: readonly { readonly changes: readonly Change[] }[],
  from: number,
  to: number,
): unknown {
  return commits.slice(from, to).reduce((now, { changes }) => applyChanges(now, changes), state);
}
