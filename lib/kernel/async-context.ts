/** Where code runs as `AsyncLocalStorage` sees it: the tenant, the trace, the request. Node's AsyncResource is one. */
export interface AsyncContext {
  /** Calls `work` as if it were called where the context was taken. */
  runInAsyncScope<R, A extends unknown[]>(work: (...given: A) => R, self?: unknown, ...given: A): R;
}

/** Of a platform without such contexts, or Node before 20.16. */
const none: AsyncContext = { runInAsyncScope: (work, self, ...given) => work.apply(self, given) };

/** A value that follows a call into everything it begins; the part of `AsyncLocalStorage` that is used. */
export interface AsyncValue<T> {
  run<R>(value: T, work: () => R): R;
  getStore(): T | undefined;
}

interface Platform {
  readonly process?: {
    getBuiltinModule?(name: 'node:async_hooks'): {
      readonly AsyncResource: new (type: string) => AsyncContext;
      readonly AsyncLocalStorage: new () => AsyncValue<never>;
    };
  };
}

// Asked for at run time: the library loads without Node, too.
const hooks = (globalThis as Platform).process?.getBuiltinModule?.('node:async_hooks');

/** A value of its own for each flow of calls; undefined everywhere on a platform without such contexts. */
export function asyncValue<T>(): AsyncValue<T> {
  return hooks === undefined
    ? { run: (_, work) => work(), getStore: () => undefined }
    : (new hooks.AsyncLocalStorage() as AsyncValue<T>);
}

/** The context of the caller. Costs about 0.1 us. */
export function callerContext(): AsyncContext {
  return hooks === undefined ? none : new hooks.AsyncResource('rxhive');
}
