import { test } from 'uvu';
import { office } from './priority.js';
import { scenario } from './support/scenario.js';

scenario('priority', 'what an urgent task needs is as urgent as the task', { unit: '1s' }, (tools) => {
  const { agent, flow, expectTimeline } = tools;
  flow(office, { agents: { batch: agent('---b|'), import: agent('-i|'), report: agent('-r|') } });
  expectTimeline().toBe(`
    batch 1  ::::====|
    batch 2  ::::::::====|
    batch 3  ::::::::::::====|
    import   ==|
    report   ..==|
  `);
});

test.run();
