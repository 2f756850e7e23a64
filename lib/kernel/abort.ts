interface Listeners {
  readonly works: Set<(reason: unknown) => void>;
  /** Takes the one listener of the signal away. */
  readonly leave: () => void;
}

/** One listener for each signal: Node warns of a leak where a signal that serves many runs has many. */
const signals = new WeakMap<AbortSignal, Listeners>();

/** Calls `work` when `signal` is aborted, now if it is already. Returns how to stop listening. */
export function onAbort(signal: AbortSignal, work: (reason: unknown) => void): () => void {
  if (signal.aborted) {
    work(signal.reason);
    return () => undefined;
  }
  const listeners = signals.get(signal) ?? listen(signal);
  // Its own: the same function may be given twice.
  const one = (reason: unknown): void => work(reason);
  listeners.works.add(one);
  return () => {
    if (!listeners.works.delete(one) || listeners.works.size > 0) return;
    signals.delete(signal);
    listeners.leave();
  };
}

function listen(signal: AbortSignal): Listeners {
  const works = new Set<(reason: unknown) => void>();
  const listener = (): void => {
    signals.delete(signal);
    for (const work of works) work(signal.reason);
    works.clear();
  };
  const listeners = { works, leave: () => signal.removeEventListener('abort', listener) };
  signal.addEventListener('abort', listener, { once: true });
  signals.set(signal, listeners);
  return listeners;
}
