import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { memory } from '../lib/index.js';
import { type MarbleTools, marbles } from '../lib/testing/index.js';
import { digest } from './drain.js';
import { scenario } from './support/scenario.js';

const store = memory();

const agentsOf = (agent: MarbleTools['agent']) => ({
  news: agent('---(n|)'),
  sport: agent('-----(s|)'),
  weather: agent('--(w|)'),
  'sum up': agent('--(s|)'),
});

test(
  'drain: nothing new begins, and what runs may end',
  marbles({ unit: '1s' }, ({ agent, flow, at, expectTimeline, expectStatus }) => {
    const run = flow(digest, { store, runId: 'monday', agents: agentsOf(agent) });
    at('2s', () => void run.drain());
    expectTimeline().toBe(`
      news     ===|
      sport    =====|
      weather  :
      sum up   .
    `);
    expectStatus('suspended');
  }),
);

scenario('drain', 'the next process goes on', { unit: '1s', allRuns: true }, (tools) => {
  const { agent, flow, expectTimeline, expectStatus, after } = tools;
  flow(digest, { store, runId: 'monday', agents: agentsOf(agent) });
  expectTimeline().toBe(`
    news     @
    sport    @
    weather  ==|
    sum up   ..==|
  `);
  expectStatus('succeeded');
  after((result) => assert.is(result.report.counts.restored, 2));
});

test.run();
