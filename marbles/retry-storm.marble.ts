import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { storm } from './retry-storm.js';
import { scenario } from './support/scenario.js';

scenario('retry-storm', 'one 429 holds the whole group, not the rest of the run', { unit: '1s' }, (tools) => {
  const { agent, flow, expectEvents, expectTimeline, after } = tools;
  const busy = Object.assign(new Error('busy'), { status: 429, retryAfter: 4 });
  flow(storm, {
    agents: {
      call: agent('-(o|)', { o: 'ok' }),
      'call 1': agent(['-#', '-(o|)'], { o: 'ok' }, busy),
      'call 2': agent(['--#', '-(o|)'], { o: 'ok' }, busy),
    },
  });
  expectEvents({ type: 'group' }).toBe('-ab', {
    a: { reason: 'gated', delay: 4_000 },
    b: { reason: 'gated', delay: 4_000 },
  });
  expectTimeline().toBe(`
    call 1  =~~~~:=|
    call 2  ==~~~~=|
    call 3  =|
    call 4  =|
    call 5  ::::::=|
    call 6  ::::::=|
    local   ==|
  `);
  after((result) => assert.is(result.report.retries, 2));
});

test.run();
