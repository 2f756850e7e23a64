import type { StatePatch, StatePath } from '../model/record.js';
import { partOf } from './collection-patches.js';

type Patches = readonly StatePatch[];

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
  const odd = new Map<object, boolean>();
  const cuts = new Map<string, StatePath>();
  for (const { path } of [...patches, ...inverse]) {
    const cut = cutOf(path, base, next, odd);
    if (cut !== undefined) cuts.set(JSON.stringify(cut), cut);
  }
  if (cuts.size === 0) return { patches, inverse };
  const paths = [...cuts.values()].filter((one) => ![...cuts.values()].some((other) => isAbove(other, one)));
  return { patches: replaced(patches, paths, next), inverse: replaced(inverse, paths, base) };
}

/** The part of a path that leads to what is replaced as a whole; undefined: nothing on it is. */
function cutOf(
  path: StatePath,
  base: unknown,
  next: unknown,
  odd: Map<object, boolean>,
): StatePath | undefined {
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

function isOdd(value: unknown, known: Map<object, boolean>): boolean {
  if (!(value instanceof Map || value instanceof Set)) return false;
  let odd = known.get(value);
  if (odd === undefined) {
    odd = value instanceof Map ? hasOddKey(value) : hasObject(value);
    known.set(value, odd);
  }
  return odd;
}

function hasOddKey(map: ReadonlyMap<unknown, unknown>): boolean {
  for (const key of map.keys()) if (typeof key !== 'string' && typeof key !== 'number') return true;
  return false;
}

function hasObject(set: ReadonlySet<unknown>): boolean {
  for (const one of set) if (typeof one === 'object' && one !== null) return true;
  return false;
}
