import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Aging } from '../../lib/schedule/aging.js';

type Step =
  | { readonly do: 'add'; readonly priority: number }
  | { readonly do: 'remove'; readonly at: number }
  | { readonly do: 'change'; readonly at: number; readonly to: number }
  | { readonly do: 'start'; readonly at: number }
  | { readonly do: 'wait'; readonly ms: number };

const priority = fc.integer({ min: -200, max: 200 });
const at = fc.nat({ max: 999 });
const steps = fc.array(
  fc.oneof<fc.Arbitrary<Step>[]>(
    fc.record({ do: fc.constant('add' as const), priority }),
    fc.record({ do: fc.constant('add' as const), priority }),
    fc.record({ do: fc.constant('remove' as const), at }),
    fc.record({ do: fc.constant('change' as const), at, to: priority }),
    fc.record({ do: fc.constant('start' as const), at }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.nat({ max: 300 }) }),
  ),
  { maxLength: 300, size: 'max' },
);

test('time passes for half a step after each start before somebody less important, as a plain list says', () => {
  fc.assert(
    fc.property(steps, (all) => {
      let now = 0;
      const aging = new Aging(() => now, 100);
      const waiting: number[] = [];
      let passed = 0;
      let overtookAt: number | undefined;
      const time = (): number => (overtookAt === undefined ? 0 : passed + Math.min(50, now - overtookAt));
      for (const step of all) {
        if (step.do === 'wait') now += step.ms;
        else if (step.do === 'add') {
          waiting.push(step.priority);
          assert.is(aging.add(step.priority), step.priority - Math.floor(time() / 100));
        } else if (waiting.length > 0) {
          const place = step.at % waiting.length;
          const [left = 0] = waiting.splice(place, 1);
          if (step.do === 'change') {
            aging.change(left, step.to);
            waiting.push(step.to);
          } else aging.remove(left);
          if (step.do !== 'start') continue;
          aging.started(left);
          if (!waiting.some((other) => other < left)) continue;
          passed = time();
          overtookAt = now;
        }
      }
    }),
    { numRuns: 200 },
  );
});

test.run();
