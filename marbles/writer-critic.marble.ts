import { test } from 'uvu';
import { scenario } from './support/scenario.js';
import { editor, writerCritic } from './writer-critic.js';

scenario('writer-critic', 'the editor begins while the writer still writes', { unit: '1s' }, (tools) => {
  const { agent, flow, expectTask, expectTimeline } = tools;
  flow(writerCritic, { agents: { writer: agent('--a--b--c--|', { a: 'a', b: 'ab', c: 'abc' }) } });
  expectTask('critic').toBe('-----(b|)', { b: 'ab' });
  expectTask(editor).toBe('-----(b|)', { b: 'AB' });
  expectTimeline().toBe(`
    writer  ===========|
    critic  ..===|
    editor  .....|
  `);
});

test.run();
