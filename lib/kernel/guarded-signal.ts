import { faultOf, notify } from './guard.js';

type Add = AbortSignal['addEventListener'];
type Remove = AbortSignal['removeEventListener'];

/**
 * A controller whose signal has listeners that cannot harm anybody: what one throws, now or as a promise, goes to `failed` under `name`.
 * The platform would end the process with it. Also for `onabort`. Signals that others make of this one (`AbortSignal.any`)
 * are theirs: what their listeners throw is out of reach.
 */
export function guardedController(name: string, failed: (error: unknown) => void): AbortController {
  const controller = new AbortController();
  const { signal } = controller;
  const add = signal.addEventListener as (...args: unknown[]) => void;
  const remove = signal.removeEventListener as (...args: unknown[]) => void;
  /** The same for the same one, so that it is added once and can be removed. */
  const guarded = new WeakMap<object, (event: Event) => void>();
  const guard = (listener: Parameters<Add>[1]): unknown => {
    if ((typeof listener !== 'function' && typeof listener !== 'object') || listener === null)
      return listener;
    const known = guarded.get(listener);
    if (known !== undefined) return known;
    const call = (event: Event): unknown =>
      typeof listener === 'function' ? listener.call(signal, event) : listener.handleEvent(event);
    const made = (event: Event): void => {
      notify(
        () => call(event),
        (error) => failed(faultOf(error, name)),
      );
    };
    guarded.set(listener, made);
    return made;
  };
  const own: { addEventListener: Add; removeEventListener: Remove } = {
    addEventListener: (type: string, listener: Parameters<Add>[1], options?: unknown) =>
      add.call(signal, type, guard(listener), options),
    removeEventListener: (type: string, listener: Parameters<Remove>[1], options?: unknown) =>
      remove.call(signal, type, guard(listener as Parameters<Add>[1]), options),
  };
  for (const [name, value] of Object.entries(own))
    Object.defineProperty(signal, name, { value, configurable: true, writable: true });
  return controller;
}
