import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { marbles } from '../lib/testing/index.js';
import { scenario } from './support/scenario.js';
import { triage } from './triage.js';

test(
  'triage: a bug is fixed, nobody is told, and the branch that is not taken is no failure',
  marbles({ unit: '1s' }, ({ agent, flow, expectTimeline, expectStatus, after }) => {
    const agents = {
      classify: agent('-(k|)', { k: 'bug' }),
      fix: agent('---(f|)', { f: 'patch' }),
      send: agent('-|'),
    };
    flow(triage, { agents });
    expectTimeline().toBe(`
      classify       =|
      fix            .===|
      quote          .x
      send           ....=|
      tell a person  .....x
    `);
    expectStatus('succeeded');
    after((result) => assert.equal(result.tasks.get('quote')?.skippedBecause, ['condition']));
  }),
);

scenario(
  'triage',
  'a wish takes the other branch; sending fails, and a person is told',
  { unit: '1s' },
  (tools) => {
    const { agent, flow, expectTimeline, expectStatus, after } = tools;
    const agents = {
      classify: agent('-(k|)', { k: 'wish' }),
      quote: agent('--(q|)', { q: 'offer' }),
      send: agent('-#', {}, 'HTTP_500'),
      'tell a person': agent('-|'),
    };
    flow(triage, { agents });
    expectTimeline().toBe(`
    classify       =|
    fix            .x
    quote          .==|
    send           ...=#
    tell a person  ....=|
  `);
    expectStatus('succeeded');
    after((result) => assert.is(result.tasks.get('send')?.status, 'failed'));
  },
);

test.run();
