import { truncate } from '../kernel/errors.js';
import { escapeControl } from '../kernel/escape-control.js';
import type { StatePath } from '../model/record.js';
import { Collection } from './collection.js';
import { partOf } from './collection-patches.js';

/** A step into a value: a name, a place in an array, the value behind a key, or what has no name. */
export type Step =
  | string
  | number
  | { readonly get: unknown }
  | { readonly the: 'key' | 'entry'; readonly at: number };

/** Where something is in a value, in the words of who made it. */
export type Path = readonly Step[];

/** Says where `path` is in what is called `name`: `the result.items[3]`. */
export function shownPath(name: string, path: Path): string {
  const steps = path.length > 24 ? [...path.slice(0, 12), undefined, ...path.slice(-12)] : path;
  return steps.reduce<string>((place, step) => place + (step === undefined ? ' … ' : shownStep(step)), name);
}

/** Says it of a path whose first step is one of `names`: the parts of a record, as people know them. */
export function shownPart(names: Readonly<Record<string, string>>, path: Path): string {
  const [first, ...rest] = path;
  return shownPath(names[String(first)] ?? `the ${String(first ?? 'whole')}`, rest);
}

/** Says it of data of a task that was added. */
export function shownData(task: { readonly id: string } | undefined, path: Path): string {
  return shownPath(`the data of task "${truncate(String(task?.id))}"`, path);
}

/** The same of a path of the state. */
export function shownInState(state: unknown, path: StatePath, rest: Path): string {
  let at = state;
  const steps = path.map((key): Step => {
    const keyed = at instanceof Map || at instanceof Collection;
    at = partOf(at, key);
    return keyed ? { get: key } : key;
  });
  return shownPath('state', [...steps, ...rest]);
}

function shownStep(step: Step): string {
  if (typeof step === 'number') return `[${step}]`;
  if (typeof step === 'string')
    return /^[A-Za-z_$][\w$]{0,60}$/.test(step) ? `.${step}` : `[${quoted(step)}]`;
  if ('the' in step) return ` (${step.the} ${step.at})`;
  const { get } = step;
  if (typeof get === 'string') return `.get(${quoted(get)})`;
  return typeof get === 'object' || typeof get === 'function' ? '.get(…)' : `.get(${String(get)})`;
}

function quoted(text: string): string {
  return escapeControl(JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text));
}
