import { inspect } from '../kernel/errors.js';
import { isCapacity } from '../kernel/option-rules.js';
import { readsStream } from '../model/dependency.js';

/** Says what is wrong with a race or quorum. */
export function problemOf(need: unknown, tasks: unknown): string | undefined {
  if (!Array.isArray(tasks) || tasks.length === 0) return 'without tasks; give an array of tasks.';
  if (new Set(tasks).size < tasks.length) return 'in which a task is twice; name each once.';
  if (Number.isInteger(need) && Number(need) >= 1 && Number(need) <= tasks.length) return undefined;
  return `that needs ${inspect(need)} of ${tasks.length}; give a whole number from 1 to ${tasks.length}.`;
}

/** Says which streaming joins of one task do not go together. */
export function joinProblem(
  dependencies: readonly { readonly mode: string; readonly capacity?: number }[],
): string | undefined {
  const strange = dependencies.find(({ capacity }) => capacity !== undefined && !isCapacity(capacity));
  if (strange !== undefined)
    return `has ${strange.mode}(...) with capacity ${inspect(strange.capacity)}; give a whole number from 1, or Infinity.`;
  const modes = dependencies.map(({ mode }) => mode).filter(readsStream);
  const pace = [...new Set(modes)].filter((mode) => mode !== 'sampled');
  if (pace.length > 1)
    return `mixes ${pace.map((mode) => `${mode}(...)`).join(' and ')}; choose one of them, and sampled(...) for the other streams.`;
  if (pace.length === 0 && modes.length > 0)
    return 'has sampled(...) alone, which sets no pace; add latest(...), paired(...) or merged(...).';
  if (pace[0] === 'paired' && modes.filter((mode) => mode === 'paired').length < 2)
    return 'has one paired(...) and no partner for it; add another, or use merged(...) for each value of one stream.';
  return undefined;
}
