import type { WrittenError } from '../model/wire.js';

const deepestCause = 5;

/** Writes what was thrown. `keeps`: can a value travel? Default: what can be cloned. */
export function writeError(
  thrown: unknown,
  keeps: (value: unknown) => boolean = cloneable,
  depth = 0,
): WrittenError {
  if (!(thrown instanceof Error)) {
    const value = keeps(thrown) ? thrown : String(thrown);
    return { isError: false, name: '', message: '', stack: undefined, facts: { value }, cause: undefined };
  }
  const { name, message, stack, cause } = thrown;
  const facts = Object.entries(thrown).filter(([key, value]) => key !== 'cause' && keeps(value));
  return {
    isError: true,
    name,
    message,
    stack,
    facts: Object.fromEntries(facts),
    cause: cause === undefined || depth === deepestCause ? undefined : writeError(cause, keeps, depth + 1),
  };
}

/** What was thrown, again. */
export function readError(written: WrittenError): unknown {
  if (!written.isError) return written.facts.value;
  const { name, message, stack, facts, cause } = written;
  const error = new Error(message, cause === undefined ? undefined : { cause: readError(cause) });
  for (const [key, value] of Object.entries({ name, stack, ...facts }))
    Object.defineProperty(error, key, {
      value,
      configurable: true,
      writable: true,
      enumerable: key in facts,
    });
  return error;
}

function cloneable(value: unknown): boolean {
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}
