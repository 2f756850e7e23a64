import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { memory } from '../lib/index.js';
import { marbles } from '../lib/testing/index.js';
import { trip } from './saga.js';
import { scenario } from './support/scenario.js';

const store = memory();

test(
  'saga: the car fails',
  marbles({ unit: '1s' }, ({ agent, flow, expectTimeline }) => {
    const agents = {
      flight: agent('---(f|)', { f: 'F1' }),
      hotel: agent('-(h|)', { h: 'H2' }),
      car: agent('--#'),
    };
    flow(trip, { store, runId: 'monday', agents });
    expectTimeline().toBe(`
      flight  ===|
      hotel   =|
      car     ==#
    `);
  }),
);

scenario('saga', 'what was booked is taken back, last first', { unit: '1s' }, async (tools) => {
  await tools.run((options) => trip.compensate(store, 'monday', options));
  tools.expectTimeline().toBe(`
    flight  =|
    hotel   .=|
  `);
  tools.after((result) => assert.equal(result.state, { cancelled: ['F1', 'H2'] }));
});

test.run();
