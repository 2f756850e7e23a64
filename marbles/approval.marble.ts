import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { marbles } from '../lib/testing/index.js';
import { approval, published } from './approval.js';
import { scenario } from './support/scenario.js';
import { services } from './support/services.js';

services.call = async () => 'live';

test(
  'approval: nobody answers for a day',
  marbles({ unit: '1h' }, ({ agent, flow, expectTask, expectEvents }) => {
    flow(approval, { agents: { draft: agent('-(d|)'), translate: agent('--(t|)') } });
    expectEvents({ type: 'question' }).toBe('-a 23h b', { a: { reason: 'asked' }, b: { reason: 'expired' } });
    expectTask(published).toBe('25h (p|)', { p: 'kept' });
  }),
);

scenario('approval', 'a question holds no slot, however long the answer takes', { unit: '1h' }, (tools) => {
  const { agent, answer, flow, expectTask, expectTimeline, after } = tools;
  flow(approval, { agents: { draft: agent('-(d|)'), translate: agent('--(t|)') } });
  answer('9h', 'approve?publish', true);
  expectTask(published).toBe('9h (p|)', { p: 'live' });
  expectTimeline().toBe(`
    draft      =|
    approve    .????????|
    translate  .==|
    publish    .........|
  `);
  after((result) => assert.is(result.tasks.get('approve')?.runningMs, 0));
});

test.run();
