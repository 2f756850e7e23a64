import { inspect, RxhiveError } from '../kernel/errors.js';
import type { SleepOptions } from '../model/context.js';

/** Ms from which on a sleep gives the slot back by itself: nobody works that long by sleeping. */
const longSleep = 86_400_000;

/** Does a sleep give its slot back? @throws RxhiveError INVALID_OPTION */
export function freesSlot(
  ms: number,
  { slot = ms < longSleep ? 'hold' : 'free' }: SleepOptions = {},
): boolean {
  if (!(Number.isFinite(ms) && ms >= 0))
    throw new RxhiveError('INVALID_OPTION', `ctx.sleep got ${inspect(ms)}; give ms from 0.`);
  if (slot === 'hold' || slot === 'free') return slot === 'free';
  throw new RxhiveError('INVALID_OPTION', `ctx.sleep got slot ${inspect(slot)}; give "hold" or "free".`);
}

/**
 * Begins to wait for what is done elsewhere; `pause` gives the slot back, and takes what is called once there is one
 * again. @throws RxhiveError INVALID_OPTION
 */
export function waitOutside(
  work: unknown,
  pause: (done: () => void) => () => void,
  { resolve, reject }: { resolve(value: unknown): void; reject(error: unknown): void },
): void {
  const given = typeof work === 'function' ? (work as () => unknown)() : work;
  if (typeof (given as PromiseLike<unknown> | undefined)?.then !== 'function') {
    const message = `ctx.outside got ${inspect(given)}; give a promise, or a function that returns one.`;
    throw new RxhiveError('INVALID_OPTION', message);
  }
  let tell = (): void => undefined;
  const goOn = pause(() => tell());
  (given as PromiseLike<unknown>).then(
    (value) => {
      tell = () => resolve(value);
      goOn();
    },
    (error: unknown) => {
      tell = () => reject(error);
      goOn();
    },
  );
}
