/** Calls `work` when `signal` is aborted, now if it is already. Returns how to stop listening. */
export function onAbort(signal: AbortSignal, work: (reason: unknown) => void): () => void {
  const listener = (): void => work(signal.reason);
  if (signal.aborted) listener();
  else signal.addEventListener('abort', listener);
  return () => signal.removeEventListener('abort', listener);
}
