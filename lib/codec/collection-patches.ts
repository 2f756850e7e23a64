import { applyPatches, isDraft, type Patch, produce } from 'immer';
import { reservedNames } from '../kernel/plain.js';
import type { StatePatch, StatePath } from '../model/record.js';
import { below, Collection } from './collection.js';

type Patches = readonly StatePatch[];

/** How a key of a collection stands in a path: as it is, but with a colon before what is reserved, or has one. */
export function placeOf(key: string): string {
  return reservedNames.has(key) || key.startsWith(':') ? `:${key}` : key;
}

function keyAt(place: string | number): string {
  const text = String(place);
  return text.startsWith(':') ? text.slice(1) : text;
}

/** What stands at a place of a part of the state; undefined where it has no parts. */
export function partOf(value: unknown, place: PropertyKey): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  if (value instanceof Map) return value.get(place);
  if (value instanceof Collection) return value.get(keyAt(String(place)));
  return (value as Record<PropertyKey, unknown>)[place];
}

/** Parts of a path in a collection, as Immer tells it: root, branch, twig, leaf and key. */
const depth = 5;

/**
 * Changes that lead to the state `next`, and those (`inverse`) that lead back, told by the keys of collections where
 * Immer tells of the tree behind them: so each key can be asked for, and taken back, alone.
 */
export function byKey(patches: Patches, inverse: Patches, next: unknown): [Patches, Patches] {
  return [allKeyed(patches, inverse, next), allKeyed(inverse, patches, next)];
}

/** One commit comes for each task that writes: a row of one is not copied for nothing. */
function allKeyed(patches: Patches, opposite: Patches, next: unknown): Patches {
  const [first] = patches;
  if (first !== undefined && patches.length === 1) return keyed(first, opposite, next) ?? patches;
  return patches.flatMap((patch) => keyed(patch, opposite, next) ?? patch);
}

/** What stands for a patch; undefined: it is in no collection. */
function keyed(patch: StatePatch, opposite: Patches, next: unknown): Patches | undefined {
  let path: (string | number)[] | undefined;
  let value = next;
  for (let i = 0; i < patch.path.length; ) {
    let place = patch.path[i] as string | number;
    if (value instanceof Collection) {
      // The size follows from the keys.
      if (place === 'size') return [];
      path ??= patch.path.slice(0, i);
      const inside = Math.min(depth, patch.path.length - i);
      if (inside < depth) return partly(patch, opposite, path, depth - inside);
      i += depth;
      place = placeOf(String(patch.path[i - 1]).slice(1));
    } else i += 1;
    path?.push(place);
    value = partOf(value, place);
  }
  return path === undefined ? undefined : [{ ...patch, path }];
}

/** A part of the tree, so many levels above the values, that is new, goes, or is replaced. */
function partly(patch: StatePatch, opposite: Patches, path: StatePath, levels: number): Patches {
  const after = new Map(below(patch.value, levels));
  const other = opposite.find((one) => samePath(one.path, patch.path));
  const before = new Map(below(other?.value, levels));
  const made: StatePatch[] = [];
  for (const key of before.keys())
    if (!after.has(key)) made.push({ op: 'remove', path: [...path, placeOf(key)] });
  for (const [key, value] of after)
    if (!before.has(key) || before.get(key) !== value)
      made.push({ op: before.has(key) ? 'replace' : 'add', path: [...path, placeOf(key)], value });
  return made;
}

function samePath(a: StatePath, b: StatePath): boolean {
  return a.length === b.length && a.every((place, i) => place === b[i]);
}

/** A state with changes as {@link byKey} tells them. What does not apply is thrown. */
export function applied(state: unknown, patches: Patches): unknown {
  const whole = patches.findLastIndex(({ op, path }) => op === 'replace' && path.length === 0);
  return produce(whole < 0 ? state : patches[whole]?.value, (draft: unknown) => {
    for (const patch of patches.slice(whole + 1)) apply(draft, patch);
  });
}

function apply(draft: unknown, patch: StatePatch): void {
  let value = draft;
  for (const [i, place] of patch.path.entries()) {
    if (value instanceof Collection) {
      applyIn(value, keyAt(place), { ...patch, path: patch.path.slice(i + 1) });
      return;
    }
    value = partOf(value, place);
  }
  applyPatches(draft as object, [patch as unknown as Patch]);
}

/** Changes what is kept under a key, or below it. */
function applyIn(collection: Collection<unknown>, key: string, patch: StatePatch): void {
  const value = collection.get(key);
  if (patch.path.length > 0) {
    if (isDraft(value)) apply(value, patch);
    // Set by a change before this one, to which the value still belongs.
    else collection.set(key, applied(value, [patch]));
  } else if (patch.op === 'remove') collection.delete(key);
  else collection.set(key, patch.value);
}
