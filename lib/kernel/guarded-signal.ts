import { faultOf, notify } from './guard.js';

type Listener = ((this: unknown, event: Event) => unknown) | { handleEvent(event: Event): unknown };
type Listen = (type: string, listener: unknown, options?: unknown) => void;

/**
 * Makes controllers whose signals have listeners that cannot harm anybody: what one throws, now or as a promise, goes to
 * `failed` under `name`. The platform would end the process with it. Also for `onabort`. Signals that others make of such a
 * one (`AbortSignal.any`) are theirs: what their listeners throw is out of reach.
 *
 * All signals share one prototype: methods of their own would cost each of them more than all else about it.
 */
export function guardedControllers(name: string, failed: (error: unknown) => void): () => AbortController {
  /** The same for the same one, so that it is added once and can be removed. */
  const guarded = new WeakMap<object, (this: unknown, event: Event) => void>();
  const guard = (listener: unknown): unknown => {
    if ((typeof listener !== 'function' && typeof listener !== 'object') || listener === null)
      return listener;
    const known = guarded.get(listener);
    if (known !== undefined) return known;
    const one = listener as Listener;
    const made = function (this: unknown, event: Event): void {
      notify(
        () => (typeof one === 'function' ? one.call(this, event) : one.handleEvent(event)),
        (error) => failed(faultOf(error, name)),
      );
    };
    guarded.set(listener, made);
    return made;
  };
  const through = (listen: Listen): PropertyDescriptor => ({
    value(this: AbortSignal, type: string, listener: unknown, options?: unknown): void {
      listen.call(this, type, guard(listener), options);
    },
    configurable: true,
    writable: true,
  });
  let prototype: object | undefined;
  return () => {
    const { addEventListener, removeEventListener } = AbortSignal.prototype;
    prototype ??= Object.create(AbortSignal.prototype, {
      addEventListener: through(addEventListener as Listen),
      removeEventListener: through(removeEventListener as Listen),
    }) as object;
    const controller = new AbortController();
    Object.setPrototypeOf(controller.signal, prototype);
    return controller;
  };
}
