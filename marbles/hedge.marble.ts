import { test } from 'uvu';
import { hedged, merged } from './hedge.js';
import { scenario } from './support/scenario.js';

scenario(
  'hedge',
  'a slow call is made again where a slot is free, and the slow one is stopped',
  { unit: 500 },
  (tools) => {
    const { agent, flow, expectTask, expectSubscriptions, expectTimeline } = tools;
    const slow = agent(['--------------------(a|)', '--(b|)'], { a: 'late', b: 'bob' });
    flow(hedged, {
      agents: { ann: agent('---(a|)', { a: 'ann' }), bob: slow, eve: agent('-----(e|)', { e: 'eve' }) },
    });
    expectTask(merged).toBe('------(m|)', { m: 'ann, bob, eve' });
    expectSubscriptions(slow).toBe(['^-----!', '----^-!']);
    expectTimeline().toBe(`
    ann     ===|
    bob     ======|
    eve     =====|
    merged  ......|
  `);
  },
);

test.run();
