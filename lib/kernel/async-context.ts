/** Where code runs as `AsyncLocalStorage` sees it: the tenant, the trace, the request. Node's AsyncResource is one. */
export interface AsyncContext {
  /** Calls `work` as if it were called where the context was taken. */
  runInAsyncScope<R>(work: () => R): R;
}

/** Of a platform without such contexts, or Node before 20.16. */
const none: AsyncContext = { runInAsyncScope: (work) => work() };

interface Platform {
  readonly process?: {
    getBuiltinModule?(name: 'node:async_hooks'): {
      readonly AsyncResource: new (type: string) => AsyncContext;
    };
  };
}

// Asked for at run time: the library loads without Node, too.
const hooks = (globalThis as Platform).process?.getBuiltinModule?.('node:async_hooks');

/** The context of the caller. Costs about 0.1 us. */
export function callerContext(): AsyncContext {
  return hooks === undefined ? none : new hooks.AsyncResource('rxhive');
}
