import { firstValueFrom, map, timer } from 'rxjs';
import { test } from 'uvu';
import { browsing } from './browser.js';
import { scenario } from './support/scenario.js';
import { services } from './support/services.js';

scenario('browser', 'one browser for all: waiting for it holds no slot', { unit: '1s' }, (tools) => {
  const { flow, expectTask, expectTimeline } = tools;
  services.ask = () => firstValueFrom(timer(1_000).pipe(map(() => 'g')));
  services.call = () => firstValueFrom(timer(3_000).pipe(map(() => 'p')));
  flow(browsing);
  expectTask('eve').toBe('----------(p|)');
  expectTimeline().toBe(`
    ann  ====|
    bob  =???===|
    eve  :=?????===|
  `);
});

test.run();
