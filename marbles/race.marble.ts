import { test } from 'uvu';
import { fastest, reply } from './race.js';
import { scenario } from './support/scenario.js';

scenario('race', 'the first answer counts, also when its provider stumbled', { unit: 500 }, (tools) => {
  const { agent, flow, expectTask, expectSubscriptions, expectTimeline } = tools;
  const slow = agent('---------(w|)', { w: 'w' });
  flow(fastest, { agents: { east: agent(['--#', '---(e|)'], { e: 'e' }), west: slow } });
  expectSubscriptions(slow).toBe('^-----!');
  expectTask(reply).toBe('------(e|)');
  expectTimeline().toBe(`
    east   ==~===|
    west   ======!
    reply  ......|
  `);
});

test.run();
