import { firstValueFrom } from 'rxjs';
import { test } from 'uvu';
import { controller, type TaskContext } from '../lib/index.js';
import { scenario } from './support/scenario.js';
import { subtitles } from './translation.js';

scenario(
  'translation',
  'several at once, shown in the order they were said',
  { unit: 100 },
  async (tools) => {
    const { agent, at, cold, run, expectStream, expectTimeline } = tools;
    const hive = controller({ name: 'film', concurrency: 2 });
    const said = (marbles: string) => agent(marbles, { s: (line: string) => `${line}!` });
    // The first line is long.
    const lines = { a: said('------(s|)'), b: said('--(s|)'), c: said('-(s|)'), d: said('-----(s|)') };
    const translate = (line: string, ctx: TaskContext): unknown => lines[line as 'a'](line, ctx);
    expectStream('shown', subtitles(hive, cold('-a-b-c-d|'), translate)).toBe('-------(abc)(d|)', {
      a: 'a!',
      b: 'b!',
      c: 'c!',
      d: 'd!',
    });
    await run(() => firstValueFrom(hive.runs$));
    at('1300ms', () => hive.drain());
    expectTimeline().toBe(`
    translate-1  _======|
    translate-2  ___==|
    translate-3  _____=|
    translate-4  _______=====|
  `);
  },
);

test.run();
