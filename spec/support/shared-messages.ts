import fc from 'fast-check';
import { windowOf } from '../../lib/model/limiter.js';
import type { SharedMessage } from '../../lib/model/shared-limits.js';

const names = ['requestsPerSecond', 'requestsPerMinute', 'tokensPerMinute', 'requests per 12000 ms'] as const;
const step = fc.record({
  from: fc.constantFrom('a', 'b', 'c'),
  ms: fc.oneof(fc.nat({ max: 50 }), fc.nat({ max: 3_000 }), fc.nat({ max: 70_000 })),
  repeats: fc.boolean(),
  windows: fc.subarray([...names]),
  margin: fc.nat({ max: 500 }),
  places: fc.nat({ max: 4 }),
  gap: fc.oneof(fc.constant(0), fc.nat({ max: 300 })),
  held: fc.nat({ max: 3 }),
  changes: fc.array(
    fc.record({
      ago: fc.integer({ min: -6_000, max: 5_000 }),
      requests: fc.integer({ min: -2, max: 2 }),
      tokens: fc.integer({ min: -30, max: 30 }),
      take: fc.boolean(),
    }),
    { maxLength: 2 },
  ),
  told: fc.array(
    fc.record({ name: fc.constantFrom(...names), left: fc.nat({ max: 30 }), ms: fc.nat({ max: 9_000 }) }),
    {
      maxLength: 1,
    },
  ),
  hold: fc.oneof(fc.constant(0), fc.constant(0), fc.nat({ max: 500 })),
  ask: fc.option(
    fc.record({
      count: fc.integer({ min: 1, max: 4 }),
      tokens: fc.nat({ max: 60 }),
      again: fc.boolean(),
    }),
    { nil: undefined },
  ),
});

/** What processes say, one after the other. */
export const anyMessages = fc.array(step, { maxLength: 40, size: 'max' });

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Messages, and how many ms after the one before each comes. */
export function* messagesOf(steps: readonly Step[]): Generator<readonly [SharedMessage, ms: number]> {
  const seqs = new Map<string, number>();
  let now = 1_700_000_000_000;
  for (const { from, ms, repeats, windows, margin, changes, ask, ...rest } of steps) {
    now += ms;
    const before = seqs.get(from) ?? 0;
    const seq = repeats && before > 0 ? before : before + 1;
    seqs.set(from, seq);
    const message: SharedMessage = {
      ...rest,
      from,
      seq,
      windows: windows.map((name) => {
        const { kind = 'requests', size = 0 } = windowOf(name) ?? {};
        return {
          name,
          kind,
          max: kind === 'requests' ? 5 : 60,
          size: size + margin,
          grain: Math.max(1, size / 6_000),
        };
      }),
      changes: changes.map(({ ago, ...change }) => ({ ...change, at: now - ago })),
    };
    yield [ask === undefined ? message : { ...message, ask }, ms];
  }
}
