import { test } from 'uvu';
import { guarded } from './breaker.js';
import { scenario } from './support/scenario.js';

scenario('breaker', 'three failures keep everybody away for ten seconds', { unit: '1s' }, (tools) => {
  const { agent, flow, expectTimeline, expectStatus } = tools;
  const down = Object.assign(new Error('down'), { status: 503 });
  const once = () => agent(['-#', '-(o|)'], { o: 'ok' }, down);
  flow(guarded, {
    agents: {
      call: agent('-(o|)', { o: 'ok' }),
      'call 1': once(),
      'call 2': once(),
      'call 3': once(),
    },
  });
  expectTimeline().toBe(`
    call 1  =~~::::::::::=|
    call 2  :=~~::::::::::=|
    call 3  ::=~~::::::::::=|
    call 4  ::::::::::::::::=|
    call 5  :::::::::::::::::=|
  `);
  expectStatus('succeeded');
});

test.run();
