import { deepStrictEqual } from 'node:assert';
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { Collection, collection } from '../../lib/codec/collection.js';

class Pupa {
  stage = 1;
}
class Comb extends Map<unknown, unknown> {}
class Swarm extends Set<unknown> {}
class Queue extends Array<unknown> {}
class Moment extends Date {}

const names = fc.oneof(
  fc.string({ maxLength: 3 }),
  fc.constantFrom('$', 'v', '__proto__', 'constructor', 'toString', 'length', 'a b', '0', ''),
);
const bytes = fc.uint8Array({ minLength: 8, maxLength: 8 });
const scalars = fc.oneof(
  fc.constantFrom(
    null,
    undefined,
    true,
    Number.NaN,
    -0,
    0,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  ),
  fc.double(),
  fc.string({ unit: 'binary', maxLength: 4 }),
  fc.constantFrom('\ud800', '\u0000', '"$"', '{"$":"undefined"}'),
  fc.bigInt(),
);
/** What has nothing within: always a new one. */
const leaves = fc.oneof(
  scalars,
  fc.date({ noInvalidDate: true }),
  fc.constantFrom('a(?<b>c)', '/').map((source) => new RegExp(source, 'gi')),
  fc.webUrl().map((url) => new URL(url)),
  bytes.map((all) => Buffer.from(all)),
  fc
    .tuple(
      bytes,
      fc.constantFrom(Uint8Array, Uint8ClampedArray, Int16Array, Float64Array, BigUint64Array, DataView),
    )
    .map(([all, Kind]) => new (Kind as typeof DataView)(Uint8Array.from(all).buffer)),
  bytes.map((all) => Uint8Array.from(all).buffer),
  bytes.map((all) => Uint8Array.from(all).subarray(2, 5)),
);

function record(entries: [string, unknown][], prototype: object | null): object {
  const made: object = Object.create(prototype);
  for (const [name, value] of entries)
    Object.defineProperty(made, name, { value, enumerable: true, configurable: true, writable: true });
  return made;
}

function holed(items: unknown[], holes: number[]): unknown[] {
  for (const hole of holes) delete items[hole % (items.length + 1)];
  return items;
}

function failure(make: () => Error, fields: [string, unknown][], cause: [unknown] | null): Error {
  const error = make();
  for (const [name, value] of fields) if (name !== '__proto__') Reflect.set(error, name, value);
  if (cause !== null)
    Object.defineProperty(error, 'cause', { value: cause[0], configurable: true, writable: true });
  return error;
}

const errorKinds: (() => Error)[] = [
  () => new Error('no'),
  () => new TypeError(''),
  () => new RangeError(),
  () => Object.assign(new Error('named'), { name: 'Sting' }),
];

/** What a log takes, as a value of any depth. */
export const kept = fc.letrec<{ any: unknown; entries: [string, unknown][]; errors: Error }>((tie) => ({
  entries: fc.array(fc.tuple(names, tie('any')), { maxLength: 3 }),
  errors: fc
    .tuple(fc.constantFrom(...errorKinds), tie('entries'), fc.option(fc.tuple(tie('any')), { freq: 2 }))
    .map(([make, fields, cause]) => failure(make, fields, cause)),
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true, maxDepth: 4 },
    leaves,
    fc.jsonValue(),
    fc.array(fc.constantFrom(-0, 0, 1)),
    fc.tuple(tie('entries'), fc.constantFrom(Object.prototype, null)).map(([all, base]) => record(all, base)),
    fc.array(tie('any'), { maxLength: 4 }),
    fc
      .tuple(fc.array(tie('any'), { maxLength: 4 }), fc.array(fc.nat(4), { maxLength: 2 }))
      .map(([all, holes]) => holed(all, holes)),
    fc.array(fc.tuple(tie('any'), tie('any')), { maxLength: 3 }).map((all) => new Map(all)),
    fc.array(tie('any'), { maxLength: 3 }).map((all) => new Set(all)),
    fc.array(fc.tuple(names, tie('any')), { maxLength: 3 }).map((all) => collection(all)),
    tie('errors'),
    fc.array(tie('errors'), { maxLength: 2 }).map((all) => new AggregateError(all, 'all')),
    // The same object in two places.
    tie('any').map((one) => ({ here: one, there: [one] })),
  ),
})).any;

/** What a log does not take. */
const strange = fc.constantFrom<(() => unknown)[]>(
  () => () => 1,
  () => Symbol('s'),
  () => new Pupa(),
  () => new Comb([[1, 2]]),
  () => new Swarm([1]),
  () => Queue.of(1, 2),
  () => new Moment(5),
  // A body that returns one is asynchronous: it must be within something.
  () => [Promise.resolve(1)],
  () => new WeakMap(),
  () => new Number(1),
  () => ({ [Symbol('key')]: 1 }),
  () => Object.assign(new Date(5), { zone: 'UTC' }),
  () => Object.assign(new Error('no'), { request: new Pupa() }),
  () => new Map([[Symbol('key'), 1]]),
  () => Object.defineProperty({}, 'broken', { enumerable: true, get: () => assert.unreachable('read') }),
  () => {
    const circle: Record<string, unknown> = {};
    circle.back = [circle];
    return circle;
  },
  () => Object.assign(new Error('round'), { cause: { get: null } }),
);

/** A thing somewhere within what a log takes. */
export const within = fc
  .tuple(strange, fc.array(fc.constantFrom('a', 0, 'key', 'get', 'set', 'cause'), { maxLength: 4 }))
  .map(([make, steps]) =>
    steps.reduce<unknown>((value, step) => {
      if (step === 'a') return { a: value, b: 1 };
      if (step === 0) return ['x', value];
      if (step === 'key') return new Map([[value, 1]]);
      if (step === 'get') return new Map([['k', value]]);
      if (step === 'set') return new Set([value]);
      return new Error('why', { cause: value });
    }, make()),
  );

/** The same value with its names and entries the other way round. */
export function turned(value: unknown): unknown {
  if (value instanceof Map)
    return new Map([...value].reverse().map(([key, one]) => [turned(key), turned(one)]));
  if (value instanceof Set) return new Set([...value].reverse().map(turned));
  if (value instanceof Collection)
    return collection([...value].reverse().map(([key, one]): [string, unknown] => [key, turned(one)]));
  if (Array.isArray(value) && Object.keys(value).length === value.length) return value.map(turned);
  const prototype: unknown = Object.getPrototypeOf(value ?? 0);
  if (typeof value !== 'object' || value === null || (prototype !== null && prototype !== Object.prototype))
    return value;
  const entries = Object.entries(value).reverse();
  return record(
    entries.map(([name, one]) => [name, turned(one)]),
    prototype,
  );
}

/** Is it equal, for Node? */
export function same(a: unknown, b: unknown): boolean {
  try {
    deepStrictEqual(a, b);
    return true;
  } catch {
    return false;
  }
}
