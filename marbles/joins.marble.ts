import { test } from 'uvu';
import { joins } from './joins.js';
import { scenario } from './support/scenario.js';

scenario('joins', 'four ways to read two streams', { unit: '1s' }, (tools) => {
  const { agent, flow, expectTask, expectTimeline } = tools;
  flow(joins, { agents: { letters: agent('-a---b-c---|'), numbers: agent('--1-2---3---|') } });
  expectTask('latest').toBe('--m-np-qr---|', { m: 'a1', n: 'a2', p: 'b2', q: 'c2', r: 'c3' });
  expectTask('paired').toBe('--m--n--p---|', { m: 'a1', n: 'b2', p: 'c3' });
  expectTask('merged').toBe('-a1-2b-c3---|');
  expectTask('sampled').toBe('--m--n-p---|', { m: 'a1', n: 'b2', p: 'c2' });
  expectTimeline().toBe(`
    letters  ===========|
    numbers  ============|
    latest   ..==========|
    paired   ..==========|
    merged   .===========|
    sampled  ..=========|
  `);
});

test.run();
