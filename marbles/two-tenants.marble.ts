import { test } from 'uvu';
import { scenario } from './support/scenario.js';
import { office, pages } from './two-tenants.js';

const options = { unit: '1s', allRuns: true };
scenario(
  'two-tenants',
  'turns by tenant, whoever asks for more',
  options,
  ({ agent, flow, expectTimeline }) => {
    const shared = { controller: office(), agents: { page: agent('----(p|)') } };
    flow(pages('acme', 6), { ...shared, runId: 'acme', tags: { tenant: 'acme' } });
    expectTimeline().toBe(`
    acme 1  ====|
    acme 2  ====|
    acme 3  ::::::::====|
    acme 4  ::::::::::::====|
    acme 5  ::::::::::::====|
    acme 6  ::::::::::::::::====|
  `);
    flow(pages('globex', 2), { ...shared, runId: 'globex', tags: { tenant: 'globex' } });
    expectTimeline().toBe(`
    globex 1  ::::====|
    globex 2  ::::::::====|
  `);
    flow(pages('alert', 1), { ...shared, runId: 'alert', tags: { tenant: 'acme' }, priority: 5 });
    expectTimeline().toBe(`
    alert 1  ::::====|
  `);
  },
);

test.run();
