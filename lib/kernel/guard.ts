import { fieldOf } from './error-layers.js';
import { inspect, isRxhiveError, messageOf, RxhiveError } from './errors.js';
import { isPromise } from './maybe-promise.js';

/**
 * Calls a function that a user gave, under the name it has in the options. All of them are called through this file, so
 * that none can do harm: what one throws is told by an error that names it, and ends the task it was called for.
 * @throws RxhiveError CALLBACK_FAILED
 */
export function callUser<R>(callback: string, call: () => R): R {
  try {
    return call();
  } catch (cause) {
    throw callbackFailed(callback, `threw: ${messageOf(cause)}`, cause);
  }
}

/** The same where a number from 0 is due, in ms, tokens or the like. @throws RxhiveError CALLBACK_FAILED */
export function callForNumber(callback: string, call: () => number): number {
  const answer: unknown = callUser(callback, call);
  if (typeof answer === 'number' && Number.isFinite(answer) && answer >= 0) return answer;
  throw badReturn(callback, answer, 'a number from 0');
}

/** The same where a yes or no is due. @throws RxhiveError CALLBACK_FAILED */
export function callForBoolean(callback: string, call: () => boolean): boolean {
  const answer: unknown = callUser(callback, call);
  if (typeof answer === 'boolean') return answer;
  throw badReturn(callback, answer, 'true or false');
}

/** Calls one that nobody waits for; `failed` is told what it throws, now or as a promise. */
export function notify<R>(call: () => R, failed: (error: unknown) => void): R | undefined {
  try {
    const answer = call();
    if (answer !== undefined) disown(answer, failed);
    return answer;
  } catch (error) {
    failed(error);
    return undefined;
  }
}

/** The error for an answer that makes no sense. `due`: what to return instead. */
export function badReturn(callback: string, answer: unknown, due: string): RxhiveError {
  // A promise where a value is due may reject later: nobody else would hear of it.
  disown(answer);
  const what = isPromise(answer) ? 'a promise' : inspect(answer);
  return callbackFailed(callback, `returned ${what}; return ${due}.`);
}

/** What was thrown where users' code is called: an error of ours as it is, anything else by a name. */
export function faultOf(error: unknown, callback: string): RxhiveError {
  return isRxhiveError(error) ? error : callbackFailed(callback, `threw: ${messageOf(error)}`, error);
}

/** What those who look at errors ask for, whatever its own fields are. */
const fields = ['name', 'message', 'code', 'status', 'cause'] as const;

/**
 * What `callback` threw, as something that can be looked at: who shows, stores or decides by it need not be careful. One of
 * which only parts can be read, for a getter of it throws, is replaced by an error of its class with what can be read; one
 * that refuses everything, such as a proxy, by an error that says so.
 */
export function readable(error: unknown, callback: string): unknown {
  if ((typeof error !== 'object' && typeof error !== 'function') || error === null) return error;
  try {
    const one = error as Readonly<Record<PropertyKey, unknown>>;
    for (const name of fields) void one[name];
    for (const name of Object.keys(one)) void one[name];
    // Reading the stack of a true error is dear, and it is none of the user's.
    if (!(error instanceof Error)) void one.stack;
    // What has no prototype cannot be a text; that is no malice.
    if (one[Symbol.toPrimitive] !== undefined || one.toString !== undefined) String(error);
    return error;
  } catch (cause) {
    return (
      partOf(error) ??
      callbackFailed(callback, `threw ${inspect(error)} that cannot be looked at: ${messageOf(cause)}`)
    );
  }
}

/** What can be read of an error, as one of its class; undefined where that is nothing, or its class cannot be asked for. */
function partOf(error: object): object | undefined {
  try {
    const prototype: object | null = Object.getPrototypeOf(error);
    const part: object = error instanceof Error ? new Error() : {};
    Object.setPrototypeOf(part, prototype);
    const own = Object.getOwnPropertyNames(error);
    let some = false;
    for (const name of new Set([...fields, ...own])) {
      const value = fieldOf(error, name);
      some ||= value !== undefined && typeof value !== 'function' && name !== 'stack' && own.includes(name);
      const enumerable = Object.prototype.propertyIsEnumerable.call(error, name);
      // Where it cannot be read it must not be asked for on the class either.
      if (own.includes(name) || value === undefined)
        Object.defineProperty(part, name, { value, enumerable, writable: true, configurable: true });
    }
    if (!some) return undefined;
    const text = messageOf(part);
    try {
      String(part);
    } catch {
      Object.defineProperty(part, 'toString', { value: () => text, configurable: true });
    }
    return part;
  } catch {
    return undefined;
  }
}

/** A promise that nobody waits for: a rejection must not end the process. */
export function disown(answer: unknown, failed: (error: unknown) => void = () => undefined): void {
  try {
    if (isPromise(answer)) answer.then(() => undefined, failed);
  } catch (error) {
    failed(error);
  }
}

function callbackFailed(callback: string, what: string, cause?: unknown): RxhiveError {
  return new RxhiveError('CALLBACK_FAILED', `${callback} ${what}`, {
    ...(cause !== undefined && { cause }),
    details: { callback },
  });
}
