/** The part of an Observable, of whichever copy of rxjs, that is called. */
interface ObservableLike {
  subscribe(observer: { next(value: unknown): void; error(error: unknown): void; complete(): void }): unknown;
}

/** What a body made: a value, or a stream of which each value was told and this is the last. */
export interface Returned {
  readonly isStream: boolean;
  readonly value: unknown;
}

/** Waits for what a body returns; each value of an async iterable or Observable is told as it is made. */
export async function returned(
  body: unknown,
  tell: (value: unknown) => void,
  stopped?: () => AbortSignal,
): Promise<Returned> {
  const made: unknown = await body;
  let value: unknown;
  const next = (one: unknown): void => {
    value = one;
    tell(one);
  };
  if (isStream(made)) {
    const signal = stopped?.();
    for await (const one of made) {
      if (signal?.aborted === true) throw signal.reason;
      next(one);
    }
    return { isStream: true, value };
  }
  if (!isObservable(made)) return { isStream: false, value: made };
  await follow(made, next, stopped?.());
  return { isStream: true, value };
}

function follow(
  stream: ObservableLike,
  tell: (value: unknown) => void,
  stopped: AbortSignal | undefined,
): Promise<void> {
  return new Promise((done, failed) => {
    let subscription: unknown;
    const stop = (): void => {
      (subscription as { unsubscribe?: () => void } | undefined)?.unsubscribe?.();
      failed(stopped?.reason);
    };
    subscription = stream.subscribe({
      next: (value) => {
        try {
          tell(value);
        } catch (error) {
          failed(error);
        }
      },
      error: failed,
      complete: done,
    });
    if (stopped?.aborted === true) stop();
    else stopped?.addEventListener('abort', stop, { once: true });
  });
}

function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof (value as AsyncIterable<unknown> | undefined)?.[Symbol.asyncIterator] === 'function';
}

function isObservable(value: unknown): value is ObservableLike {
  return typeof (value as ObservableLike | undefined)?.subscribe === 'function';
}
