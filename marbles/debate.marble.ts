import { test } from 'uvu';
import { debate, verdict } from './debate.js';
import { scenario } from './support/scenario.js';

scenario('debate', 'rounds go on as soon as both have spoken', { unit: '1s' }, (tools) => {
  const { agent, flow, expectTask, expectTimeline } = tools;
  const con = agent('---c|');
  flow(debate, {
    agents: {
      pro: agent('--p|'),
      con,
      judge: agent('--(v|)', { v: (all: readonly string[]) => all.join('') }),
    },
  });
  expectTask(verdict).toBe('--------------(v|)', { v: 'pcpcpc' });
  expectTimeline().toBe(`
    pro 1    ===|
    con 1    ====|
    pro 2    ....===|
    con 2    ....====|
    pro 3    ........===|
    con 3    ........====|
    verdict  ............==|
  `);
});

test.run();
