import { Observable } from 'rxjs';
import { agentError } from './agent-error.js';
import type { AdaptedAgent } from './contract.js';

/**
 * Anything that gives an async iterable as an agent: SDKs without an adapter, generators of yours. Each item is a value
 * of the stream, the last one the result. `make` gets a signal that is aborted when the attempt ends early, and then the
 * iterator's `return` is called.
 *
 * ```ts
 * const words = fromAsyncIterable(async function* (text: string) { for (const word of text.split(' ')) yield word; });
 * ```
 */
export function fromAsyncIterable<I, T>(
  make: (input: I, signal: AbortSignal) => AsyncIterable<T> | PromiseLike<AsyncIterable<T>>,
): AdaptedAgent<I, T> {
  return (input, ctx) =>
    new Observable<T>((subscriber) => {
      const abort = new AbortController();
      let iterator: AsyncIterator<T> | undefined;
      const pull = async (): Promise<void> => {
        iterator = (await make(input, abort.signal))[Symbol.asyncIterator]();
        while (!subscriber.closed) {
          const { done, value } = await iterator.next();
          if (done === true) return subscriber.complete();
          subscriber.next(value);
        }
      };
      pull().catch((error: unknown) => subscriber.error(agentError(ctx.taskId, error)));
      return () => {
        abort.abort(ctx.signal.reason ?? new Error('The attempt has ended.'));
        // A generator at an await runs on to its next yield; what it does there is of no interest any more.
        iterator?.return?.().then(undefined, () => undefined);
      };
    });
}
