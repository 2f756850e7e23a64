import { test } from 'uvu';
import { answer, fallback } from './fallback.js';
import { scenario } from './support/scenario.js';

scenario('fallback', 'the next model is asked when one fails or takes too long', { unit: '1s' }, (tools) => {
  const { agent, flow, expectTask, expectTimeline, expectStatus } = tools;
  flow(fallback, {
    agents: {
      large: agent('-'),
      small: agent('--#', {}, 'HTTP_500'),
      local: agent('-----(a|)', { a: 'ok' }),
    },
  });
  expectTask('large').toBe('--------#', {}, 'TASK_TIMEOUT');
  expectTask(answer).toBe('---------------(a|)', { a: 'ok' });
  expectTimeline().toBe(`
    large  ========#
    small  ........==#
    local  ..........=====|
  `);
  expectStatus('partial');
});

test.run();
