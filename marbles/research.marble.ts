import { test } from 'uvu';
import { brief, research } from './research.js';
import { scenario } from './support/scenario.js';

scenario('research', 'a dead source costs its retries, not the brief', { unit: '1s' }, (tools) => {
  const { agent, flow, expectTask, expectTimeline, expectStatus } = tools;
  flow(research, {
    agents: {
      question: agent('--q|'),
      papers: agent('-----p|'),
      news: agent(['-#', '--n|'], {}, 'HTTP_503'),
      code: agent('---c|'),
      forums: agent('-#', {}, 'HTTP_500'),
    },
  });
  expectTask('forums').toBe('---------------#', {}, 'HTTP_500');
  expectTask(brief).toBe('---------------(b|)', { b: 'p + n + c' });
  expectTimeline().toBe(`
    question  ===|
    papers    ...======|
    news      ...=~:::===|
    code      ...:====|
    forums    ...::::::=~=~~=#
    brief     ...............|
  `);
  expectStatus('partial');
});

test.run();
