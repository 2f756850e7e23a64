import { test } from 'uvu';
import { goal, planner } from './planner.js';
import { scenario } from './support/scenario.js';

scenario('planner', 'a failed step makes a new plan, what is done stays done', { unit: '1s' }, (tools) => {
  const { agent, flow, expectTask, expectTimeline } = tools;
  flow(planner, {
    agents: {
      'plan 1': agent('--(p|)', { p: 'fetch parse' }),
      'plan 2': agent('-(p|)', { p: 'ocr' }),
      fetch: agent('---(d|)', { d: 'page' }),
      parse: agent('-#'),
      ocr: agent('--(d|)', { d: 'text' }),
    },
  });
  expectTask('parse').toBe('---#');
  expectTask(goal).toBe('--------(g|)', { g: ['page', 'text'] });
  expectTimeline().toBe(`
    goal    ????????|
    plan 1  ==|
    fetch   __===|
    parse   __=#
    plan 2  _____=|
    ocr     ______==|
  `);
});

test.run();
