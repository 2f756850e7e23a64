import type { SharedAnswer } from '../model/shared-limits.js';

/** What a server answered; undefined: it is no answer. What comes from there is not trusted. */
export function readAnswer(text: string): SharedAnswer | undefined {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof said !== 'object' || said === null) return undefined;
  const { now, granted, wait, hold, inUse, used } = said as SharedAnswer;
  const amounts = typeof used === 'object' && used !== null ? Object.values(used) : [undefined];
  const all = [now, granted, wait, hold, inUse, ...amounts];
  const isAnswer = all.every((one) => typeof one === 'number' && Number.isFinite(one) && one >= 0);
  return isAnswer && granted <= 1_000 ? { now, granted, wait, hold, inUse, used } : undefined;
}
