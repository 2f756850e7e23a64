import { getOrInsert } from '../kernel/get-or-insert.js';
import type { StatePatch, StatePath } from '../model/record.js';
import { partOf } from './collection-patches.js';

type Patches = readonly StatePatch[];

/** Maps and Sets that were looked into. */
interface Odd {
  known: Map<object, boolean> | undefined;
}

/**
 * Patches that can be applied after they were written and read: a Map with keys that are neither text nor number, and a Set
 * with objects in it, are replaced as a whole, because a path names no such key, and an object that was read is another one.
 */
export function wholePatches(
  base: unknown,
  next: unknown,
  patches: Patches,
  inverse: Patches,
): { readonly patches: Patches; readonly inverse: Patches } {
  // Most states hold neither Map nor Set.
  const odd: Odd = { known: undefined };
  let cuts: Map<string, StatePath> | undefined;
  for (const side of [patches, inverse])
    for (const { path } of side) {
      const cut = cutOf(path, base, next, odd);
      if (cut !== undefined) cuts = (cuts ?? new Map()).set(JSON.stringify(cut), cut);
    }
  if (cuts === undefined) return { patches, inverse };
  const all = [...cuts.values()];
  const paths = all.filter((one) => !all.some((other) => isAbove(other, one)));
  return { patches: replaced(patches, paths, next), inverse: replaced(inverse, paths, base) };
}

/** The part of a path that leads to what is replaced as a whole; undefined: nothing on it is. */
function cutOf(path: StatePath, base: unknown, next: unknown, odd: Odd): StatePath | undefined {
  let [was, is] = [base, next];
  // What both have at the same place can be replaced there; a list may have moved it.
  let known = 0;
  for (let i = 0; i < path.length; i++) {
    if (isOdd(was, odd) || isOdd(is, odd)) return path.slice(0, known);
    const key = path[i] as string | number;
    [was, is] = [partOf(was, key), partOf(is, key)];
    if (was === undefined && is === undefined) return undefined;
    if (typeof was === 'object' && typeof is === 'object') known = i + 1;
  }
  return undefined;
}

function replaced(patches: Patches, paths: readonly StatePath[], state: unknown): StatePatch[] {
  const left = patches.filter(
    ({ path }) => !paths.some((one) => one.every((key, i) => Object.is(key, path[i]))),
  );
  const whole = paths.map(
    (path): StatePatch => ({ op: 'replace', path, value: path.reduce<unknown>(partOf, state) }),
  );
  return [...left, ...whole];
}

function isAbove(a: StatePath, b: StatePath): boolean {
  return a.length < b.length && a.every((key, i) => Object.is(key, b[i]));
}

function isOdd(value: unknown, odd: Odd): boolean {
  if (!(value instanceof Map || value instanceof Set)) return false;
  odd.known ??= new Map();
  return getOrInsert(odd.known, value, () => (value instanceof Map ? hasOddKey(value) : hasObject(value)));
}

function hasOddKey(map: ReadonlyMap<unknown, unknown>): boolean {
  for (const key of map.keys()) if (typeof key !== 'string' && typeof key !== 'number') return true;
  return false;
}

function hasObject(set: ReadonlySet<unknown>): boolean {
  for (const one of set) if (typeof one === 'object' && one !== null) return true;
  return false;
}
