import { bytesKind, bytesOf, copiedBytes, isBytes } from './bytes.js';

/** Objects that are copied without looking whether one is met twice. */
const most = 100_000;
/** Levels that are copied; what is deeper is shared, so that no stack overflows. */
const deepest = 500;
/** Longest list that is searched for names beside its places: longer ones are not what `match()` of a text gave. */
const longest = 100;

/** What a class calls to say how its instances are copied; those of others are shared. */
export const copying: unique symbol = Symbol('rxhive.copying');

interface Walk {
  left: number;
  /** Copies by what they are of, once there are many: a circle, or an object in very many places, would never end. */
  readonly known: Map<object, object> | undefined;
}

/**
 * The same data for somebody else, who may change them: what the codec of the log can keep is copied, its frozen parts too,
 * and all else is shared, objects with methods and errors among it. It does not throw.
 */
export function copy<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  try {
    const walk: Walk = { left: most, known: undefined };
    const made = copyOf(value, walk, 0);
    if (walk.left > 0) return made as T;
    return copyOf(value, { left: Number.POSITIVE_INFINITY, known: new Map() }, 0) as T;
  } catch {
    return value; // Something throws when it is read: nobody but its owner knows how to copy it.
  }
}

/** Freezes a copy that several are given: its records and lists. What is shared is none of it, but it may be within. */
export function frozenCopy<T>(value: T): T {
  const made = copy(value);
  if (made !== value) freeze(made, 0);
  return made;
}

function freeze(value: unknown, depth: number): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || depth > deepest) return;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null && prototype !== Array.prototype) return;
  Object.freeze(value);
  for (const one of Object.values(value)) freeze(one, depth + 1);
}

function copyOf(value: object, walk: Walk, depth: number): object {
  const before = walk.known?.get(value);
  if (before !== undefined) return before;
  walk.left -= 1;
  if (walk.left <= 0) return value;
  if (depth > deepest) {
    // A circle, unless one that is known already.
    if (walk.known === undefined) walk.left = 0;
    return value;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null)
    return copiedRecord(value as Record<string, unknown>, prototype, walk, depth + 1);
  if (prototype === Array.prototype) return copiedList(value as unknown[], walk, depth + 1);
  return copiedObject(value, prototype, walk, depth + 1);
}

function copiedRecord(
  value: Record<string, unknown>,
  prototype: object | null,
  walk: Walk,
  depth: number,
): object {
  const made = prototype === null ? Object.assign(Object.create(null), value) : { ...value };
  walk.known?.set(value, made);
  for (const name of Object.keys(made)) {
    const one: unknown = made[name];
    if (typeof one === 'object') {
      if (one === null) continue;
      const its = copyOf(one, walk, depth);
      if (name === '__proto__') Object.defineProperty(made, name, { value: its });
      else made[name] = its;
    } else if (typeof one === 'function') {
      // It has methods, and they may mean this object.
      walk.known?.set(value, value);
      return value;
    }
  }
  return made;
}

function copiedList(value: readonly unknown[], walk: Walk, depth: number): object {
  const made = value.slice();
  walk.known?.set(value, made);
  for (let i = 0; i < made.length; i++) {
    const one = made[i];
    if (typeof one === 'object' && one !== null) made[i] = copyOf(one, walk, depth);
  }
  if (value.length <= longest) {
    const names = Object.keys(value);
    if (names.length !== value.length)
      for (const name of names)
        if (!Object.hasOwn(made, name))
          made[name as never] = inner(value[name as never], walk, depth) as never;
  }
  return made;
}

function copiedObject(value: object, prototype: unknown, walk: Walk, depth: number): object {
  if (isBytes(value)) return copiedView(value);
  const itself = value as { [copying]?: (inner: (one: unknown) => unknown) => object };
  if (typeof itself[copying] === 'function') return itself[copying]((one) => inner(one, walk, depth));
  if (Object.keys(value).length > 0) return value;
  switch (prototype) {
    case Map.prototype: {
      const made = new Map<unknown, unknown>();
      walk.known?.set(value, made);
      for (const [key, one] of value as Map<unknown, unknown>)
        made.set(inner(key, walk, depth), inner(one, walk, depth));
      return made;
    }
    case Set.prototype: {
      const made = new Set<unknown>();
      walk.known?.set(value, made);
      for (const one of value as Set<unknown>) made.add(inner(one, walk, depth));
      return made;
    }
    case Date.prototype:
      return new Date((value as Date).getTime());
    case RegExp.prototype: {
      const { source, flags, lastIndex } = value as RegExp;
      return Object.assign(new RegExp(source, flags), { lastIndex });
    }
    case URL.prototype:
      return new URL((value as URL).href);
    default:
      return value;
  }
}

function inner(value: unknown, walk: Walk, depth: number): unknown {
  return typeof value === 'object' && value !== null ? copyOf(value, walk, depth) : value;
}

/** What several threads share stays shared. */
function copiedView(value: ArrayBuffer | ArrayBufferView<ArrayBuffer>): object {
  const kind = bytesKind(value);
  const isShared = ArrayBuffer.isView(value) && !(value.buffer instanceof ArrayBuffer);
  return kind === undefined || isShared ? value : bytesOf(kind, copiedBytes(value));
}
