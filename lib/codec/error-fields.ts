/** Errors of the language: they come back as what they were. */
const classes: readonly ErrorConstructor[] = [
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
];

const byName = new Map<string, () => Error>(classes.map((one) => [one.name, () => new one()]));
byName.set('AggregateError', () => new AggregateError([]));
const names = new Map<unknown, string>(classes.map((one) => [one.prototype, one.name]));
names.set(AggregateError.prototype, 'AggregateError');

/** The class of the language that an error has, or comes from. */
export interface ErrorClass {
  readonly name: string;
  /** It has no class of its own. */
  readonly exact: boolean;
}

export function classOf(error: Error): ErrorClass {
  const own: unknown = Object.getPrototypeOf(error);
  for (let at = own; at !== null; at = Object.getPrototypeOf(at)) {
    const name = names.get(at);
    if (name !== undefined) return { name, exact: at === own };
  }
  return { name: 'Error', exact: false };
}

/**
 * What an error says: all it has but its stack, and name and message where its class gives them. With each whether it is
 * one of its enumerable properties.
 */
export function fieldsOf(error: Error, { name }: ErrorClass): (readonly [name: string, isListed: boolean])[] {
  const own = Object.getOwnPropertyNames(error).filter((one) => one !== 'stack');
  const listed = own.map((one) => [one, Object.prototype.propertyIsEnumerable.call(error, one)] as const);
  if (!own.includes('name') && error.name !== name) listed.unshift(['name', false]);
  if (!own.includes('message') && error.message !== '') listed.unshift(['message', false]);
  return listed;
}

/** The error that a class and fields make. Its stack, which would be that of the reading, is its heading. */
export function errorOf(
  name: string,
  fields: Iterable<readonly [name: string, value: unknown, listed: unknown]>,
): Error {
  const error = byName.get(name)?.();
  if (error === undefined) throw new TypeError(`unknown error ${name.slice(0, 40)}`);
  for (const [key, value, listed] of fields)
    Object.defineProperty(error, key, {
      value,
      configurable: true,
      writable: true,
      enumerable: listed === 1,
    });
  const heading = `${String(error.name)}: ${String(error.message)}`;
  Object.defineProperty(error, 'stack', { value: heading, configurable: true, writable: true });
  return error;
}
