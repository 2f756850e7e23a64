import { firstValueFrom } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { reachable, site } from './expand.js';
import { scenario } from './support/scenario.js';

const linksOf: Readonly<Record<string, string>> = { a: 'bcd', b: 'ae', c: 'b', d: '', e: 'a' };

scenario('expand', 'each page once, two at once, until no link is new', { unit: 100 }, async (tools) => {
  const { agent, at, cold, run, expectTimeline } = tools;
  const hive = site();
  const links = agent('---(p|)', { p: (page: string) => linksOf[page] });
  const found: string[] = [];
  // The run of operators begins with the first of them: here, so that all of it is seen.
  cold('|').pipe(hive.mergeMap('nothing', links)).subscribe();
  reachable(hive, cold('-a|'), links).subscribe((page) => found.push(page));
  await run(() => firstValueFrom(hive.runs$));
  at('1500ms', () => hive.drain());
  expectTimeline().toBe(`
    page-1  _===|
    page-2  ____===|
    page-3  ____===|
    page-4  ____:::===|
    page-5  _______===|
  `);
  tools.after(() => assert.equal(found, ['a', 'b', 'c', 'd', 'e']));
});

test.run();
