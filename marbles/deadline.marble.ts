import { test } from 'uvu';
import { deadline, morning } from './deadline.js';
import { scenario } from './support/scenario.js';

scenario('deadline', 'after five seconds the answer is what there is', { unit: '1s' }, (tools) => {
  const { agent, flow, expectTask, expectTimeline } = tools;
  flow(deadline, {
    agents: { weather: agent('-(w|)'), traffic: agent(['-#', '-(t|)']), calendar: agent('-') },
  });
  expectTask('calendar').toBe('-----#', {}, 'TASK_TIMEOUT');
  expectTask(morning).toBe('-----(m|)', { m: 'wt?' });
  expectTimeline().toBe(`
    weather   =|
    traffic   =~=|
    calendar  ==~==#
    morning   .....|
  `);
});

test.run();
