import { deepStrictEqual } from 'node:assert';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { canonical, sameText } from '../../lib/codec/canonical.js';
import { decode, encode } from '../../lib/codec/codec.js';
import { RxhiveError } from '../../lib/index.js';
import { kept, same, turned, within } from '../support/any-value.js';

const numRuns = Number(process.env.RUNS ?? 400);

/** Kinds of which the codec writes `{ "$": kind, "v": ... }`. */
const kinds = [
  'undefined',
  'number',
  'bigint',
  'date',
  'map',
  'set',
  'collection',
  'array',
  'bytes',
  'regexp',
  'url',
  'record',
  'bare',
  'error',
];

test('any value it takes comes back equal, and as a text that says the same', () => {
  fc.assert(
    fc.property(kept, (value) => {
      const text = encode(value);
      deepStrictEqual(decode(text), value);
      assert.ok(sameText(encode(decode(text)), text));
    }),
    { numRuns },
  );
});

test('any value at all comes back equal, or is refused as one that cannot be kept', () => {
  const any = fc.anything({ withNullPrototype: true, withSparseArray: true, withTypedArray: true });
  fc.assert(
    fc.property(fc.oneof(within, kept, any), (value) => {
      let text: string;
      try {
        text = encode(value);
      } catch (error) {
        assert.instance(error, RxhiveError);
        assert.is((error as RxhiveError).code, 'NOT_SERIALIZABLE');
        return;
      }
      deepStrictEqual(decode(text), value);
    }),
    { numRuns },
  );
});

test('two values have one canonical text exactly when they are equal', () => {
  // A few small values: two of them are equal often enough.
  const few = fc.letrec<{ any: unknown }>((tie) => ({
    any: fc.oneof(
      { depthSize: 'small', maxDepth: 2 },
      fc.constantFrom(0, -0, '0', null, undefined, 1n, 'a'),
      fc.array(tie('any'), { maxLength: 2 }),
      fc.dictionary(fc.constantFrom('a', 'b', '$'), tie('any'), { maxKeys: 2 }),
      fc
        .array(fc.tuple(fc.constantFrom('a', 'b', 0), tie('any')), { maxLength: 2 })
        .map((all) => new Map(all)),
      fc.array(fc.constantFrom('a', 'b', 0), { maxLength: 2 }).map((all) => new Set(all)),
    ),
  })).any;
  fc.assert(
    fc.property(fc.oneof(fc.tuple(few, few), fc.tuple(kept, kept)), ([a, b]) => {
      assert.is(canonical(a) === canonical(b), same(a, b));
      assert.is(sameText(encode(a), encode(b)), same(a, b));
    }),
    { numRuns },
  );
});

test('order changes a text, but not the canonical one', () => {
  fc.assert(
    fc.property(kept, (value) => {
      assert.is(canonical(turned(value)), canonical(value));
      assert.ok(sameText(encode(turned(value)), encode(value)));
    }),
    { numRuns },
  );
});

/** A text as the codec might have written it, with anything in each place. */
const strange = fc.letrec<{ any: unknown }>((tie) => ({
  any: fc.oneof(
    { depthSize: 'medium', withCrossShrink: true },
    fc.jsonValue(),
    fc.constantFrom('Error', 'Uint8Array', 'Float64Array', 'Buffer', 'AAAA', '(', 'gg', 'name', 'length'),
    fc.array(tie('any'), { maxLength: 3 }),
    fc.record({ $: fc.constantFrom(...kinds, 'none', 3, null), v: tie('any') }, { requiredKeys: ['$'] }),
    fc.dictionary(fc.constantFrom('$', 'v', '__proto__', 'toString'), tie('any')),
  ),
})).any;

test('a hostile text gives a value, or an error that says that it cannot be read', () => {
  const check = (text: string): void => {
    try {
      decode(text);
    } catch (error) {
      assert.ok(
        error instanceof SyntaxError || error instanceof TypeError || error instanceof RangeError,
        `${(error as Error).constructor.name}: ${error}`,
      );
    }
    assert.is(({} as { polluted?: unknown }).polluted, undefined);
  };
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        fc.string(),
        strange.map((one) => JSON.stringify(one)),
      ),
      check,
    ),
    { numRuns: 5 * numRuns },
  );
  const torn = fc.tuple(kept, fc.nat(), fc.string({ maxLength: 3 }));
  fc.assert(
    fc.property(torn, ([value, at, put]) => {
      const text = encode(value);
      const place = at % (text.length + 1);
      check(text.slice(0, place));
      check(text.slice(0, place) + put + text.slice(place + 1));
    }),
    { numRuns },
  );
  for (const open of ['[', '{"a":', '{"$":"set","v":['])
    check(`${open.repeat(100_000)}"$"${(open.endsWith('[') ? ']' : '').repeat(3)}`);
  check('{"$":"record","v":[["__proto__",{"polluted":true}]]}');
  check('{"__proto__":{"polluted":true},"$":{}}');
});

test.run();
