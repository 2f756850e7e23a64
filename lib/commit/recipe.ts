import { isObservable } from 'rxjs';
import { RxhiveError } from '../kernel/errors.js';
import type { Recipe } from '../model/context.js';

const generators: ReadonlySet<string> = new Set(['[object Generator]', '[object AsyncGenerator]']);

/** Changes a draft by recipes. @throws RxhiveError INVALID_OPTION for one that is not over when it returns; what recipes throw */
export function replay(draft: unknown, recipes: readonly Recipe<never>[]): void {
  for (const recipe of recipes) refuseLate(recipe(draft as never));
}

/** The draft is gone when the rest of such a recipe comes, so the task fails, and what the rest throws is nobody's. */
function refuseLate(returned: unknown): void {
  const what = lateKind(returned);
  if (what === undefined) return;
  for (const one of Array.isArray(returned) ? returned : [returned]) hush(one);
  const message = `A recipe of ctx.update returned ${what}; await first, then update with a plain function.`;
  throw new RxhiveError('INVALID_OPTION', message);
}

function lateKind(returned: unknown): string | undefined {
  // Most recipes return nothing, or what an assignment gives.
  if ((typeof returned !== 'object' && typeof returned !== 'function') || returned === null) return undefined;
  if (isThenable(returned)) return 'a promise';
  if (generators.has(Object.prototype.toString.call(returned)))
    return 'a generator, of which nothing has run';
  if (isObservable(returned)) return 'an Observable';
  // One is enough to see what `map` made of an async function; all of a long list of the state would be drafted.
  return Array.isArray(returned) && isThenable(returned[0]) ? 'promises' : undefined;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  try {
    return typeof (value as PromiseLike<unknown> | undefined | null)?.then === 'function';
  } catch {
    return true; // Nobody but a thenable has a `then` to throw from.
  }
}

function hush(value: unknown): void {
  try {
    (value as PromiseLike<unknown>).then(undefined, () => undefined);
  } catch {
    // It throws at once what it would have thrown later.
  }
}
