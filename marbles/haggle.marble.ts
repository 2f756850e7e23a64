import { firstValueFrom, map, timer } from 'rxjs';
import { test } from 'uvu';
import { buyer, haggle, seller } from './haggle.js';
import { scenario } from './support/scenario.js';
import { services } from './support/services.js';

/** A model that thinks for two seconds, and meets the other side where they are close. */
services.ask = (prompt) => {
  const [they = 0, mine = 0] = (prompt.match(/\d+/g) ?? []).map(Number);
  const next = Math.abs(mine - they) <= 10 ? they : mine + Math.sign(they - mine) * 10;
  return firstValueFrom(timer(2_000).pipe(map(() => String(next))));
};

scenario('haggle', 'two agents talk in one place: who waits for a word has none', { unit: '1s' }, (tools) => {
  const { flow, expectTask, expectTimeline, expectEvents } = tools;
  flow(haggle);
  expectTask(seller).toBe('--------(a|)', { a: 80 });
  expectTask(buyer).toBe('--------(a|)', { a: 80 });
  expectTimeline().toBe(`
    seller  ??==??==|
    buyer   ==??==??|
  `);
  const says = (taskId: string, value: number) => ({ reason: 'sent', taskId, value });
  expectEvents({ type: 'message', reason: 'sent' }).toBe('a-b-c-d-e', {
    a: says('seller', 100),
    b: says('buyer', 70),
    c: says('seller', 90),
    d: says('buyer', 80),
    e: says('seller', 80),
  });
});

test.run();
