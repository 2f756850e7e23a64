import { firstValueFrom } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { controller } from '../lib/index.js';
import { scenario } from './support/scenario.js';
import { suggestions } from './typeahead.js';

scenario('typeahead', 'the newest text counts', { unit: 100 }, async (tools) => {
  const { agent, at, cold, run, expectTimeline } = tools;
  const hive = controller({ name: 'page' });
  const search = agent('---(s|)', { s: (text: string) => `${text}...` });
  const shown: unknown[] = [];
  suggestions(hive, cold('-h-i-----v|'), search).subscribe((one) => shown.push(one));
  await run(() => firstValueFrom(hive.runs$));
  at('1300ms', () => hive.drain());
  tools.expectSubscriptions(search).toBe(['-^-!', '---^--!', '---------^--!']);
  expectTimeline().toBe(`
    suggest-1  _==!
    suggest-2  ___===|
    suggest-3  _________===|
  `);
  tools.after(() => assert.equal(shown, ['i...', 'v...']));
});

test.run();
