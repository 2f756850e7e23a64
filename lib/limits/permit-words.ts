import type { LimiterState } from '../model/limiter.js';

/** Tasks before another one that are counted to explain its wait. */
export const mostAhead = 1_000;

/**
 * What a task waits for that waits for a permit. `whose`: of which group; `ahead`: tasks before it; `ms`: until it may
 * start, as far as known; `lasts`: nobody knows of anything that could end that.
 */
export function permitWords(
  { windows, awayFor }: LimiterState,
  whose: string,
  ahead: number,
  ms: number | undefined,
  lasts: boolean,
): string {
  const [about, exactly] = ahead < mostAhead ? ['about', ''] : ['more than', 'at least '];
  const order = ahead === 0 ? '' : `, ${exactly}${ahead} before it`;
  if (awayFor !== undefined)
    return `a permit of ${whose}${order}: the server that its processes share has not answered for ${seconds(awayFor)} s`;
  const never = lasts ? ', which its limiter does not give, though nobody here has one' : '';
  const when = ms === undefined ? never : `, ${about} ${seconds(ms)} s`;
  const full = windows.filter((one) => one.used > 0).map((one) => `${one.name} ${one.used} of ${one.max}`);
  return `a permit of ${whose}${when}${order}${full.length === 0 ? '' : ` (${full.join(', ')})`}`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}
