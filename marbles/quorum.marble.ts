import { test } from 'uvu';
import { decision, review } from './quorum.js';
import { scenario } from './support/scenario.js';

scenario('quorum', 'three of five decide, the others are stopped', { unit: 500 }, (tools) => {
  const { agent, flow, expectTask, expectTimeline } = tools;
  const answers = { y: 'yes', n: 'no' };
  const slow = agent('------------(y|)', answers);
  flow(review, {
    agents: {
      'model 1': agent('----(y|)', answers),
      'model 2': agent(['-#', '---(n|)'], answers, 'HTTP_529'),
      'model 3': slow,
      'model 4': agent('------(y|)', answers),
      'model 5': agent('--------(n|)', answers),
    },
  });
  tools.expectSubscriptions(slow).toBe('^-----!');
  expectTask(decision).toBe('------(d|)', { d: 'merge' });
  expectTimeline().toBe(`
    model 1   ====|
    model 2   =~===|
    model 3   ======!
    model 4   ======|
    model 5   ======!
    decision  ......|
  `);
});

test.run();
