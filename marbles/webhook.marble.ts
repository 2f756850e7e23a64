import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { marbles } from '../lib/testing/index.js';
import { scenario } from './support/scenario.js';
import { services } from './support/services.js';
import { order, shipped } from './webhook.js';

services.call = async (what) => what.split(',')[0] as string;

test(
  'webhook: the bank never calls back',
  marbles({ unit: '1h' }, ({ agent, flow, expectTask, expectEvents }) => {
    flow(order, { agents: { pack: agent('--(k|)') } });
    expectEvents({ type: 'question' }).toBe('a 47h b', {
      a: { reason: 'asked', callback: true },
      b: { reason: 'expired' },
    });
    expectTask(shipped).toBe('48h (s|)', { s: 'kept' });
  }),
);

scenario(
  'webhook',
  'a program answers hours later, and nobody waits for it with a slot',
  { unit: '1h' },
  (tools) => {
    const { agent, answer, flow, expectTask, expectTimeline, after } = tools;
    flow(order, { agents: { pack: agent('--(k|)'), ship: agent('-(s|)') } });
    answer('7h', 'pay?bank', { paid: true });
    expectTask(shipped).toBe('8h (s|)', { s: 's' });
    expectTimeline().toBe(`
    pay   ???????|
    pack  ==|
    ship  .......=|
  `);
    after((result) => assert.is(result.tasks.get('pay')?.runningMs, 0));
  },
);

test.run();
