import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { marbles } from '../lib/testing/index.js';
import { rendering } from './cleanup.js';
import { scenario } from './support/scenario.js';

test(
  'cleanup: nothing fails',
  marbles({ unit: '1s' }, ({ agent, flow, expectTimeline, expectStatus }) => {
    const agents = {
      rent: agent('-(m|)', { m: 'm7' }),
      render: agent('---(f|)', { f: 'film' }),
      publish: agent('--|'),
      'give back': agent('-|'),
    };
    flow(rendering, { agents });
    expectTimeline().toBe(`
      rent       =|
      render     .===|
      publish    ....==|
      give back  ....=|
    `);
    expectStatus('succeeded');
  }),
);

scenario('cleanup', 'the machine is given back although the run is cancelled', { unit: '1s' }, (tools) => {
  const { agent, flow, at, expectTimeline, expectStatus, after } = tools;
  const agents = {
    rent: agent('-(m|)', { m: 'm7' }),
    render: agent('---(f|)', { f: 'film' }),
    'give back': agent('-|'),
  };
  const run = flow(rendering, { agents });
  at('3s', () => run.cancel());
  expectTimeline().toBe(`
    rent       =|
    render     .==!
    publish    ...!
    give back  ...=|
  `);
  expectStatus('cancelled');
  after((result) => assert.is(result.tasks.get('give back')?.status, 'succeeded'));
});

test.run();
