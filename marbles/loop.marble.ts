import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { marbles } from '../lib/testing/index.js';
import { draft, edit, polish } from './loop.js';
import { scenario } from './support/scenario.js';

test(
  'loop: it is not done after its last turn',
  marbles({ unit: '1s' }, ({ agent, flow, after }) => {
    flow(polish, { agents: { draft: agent('-(b|)', { b: { text: 'again', verdict: 'bad' } }) } });
    after(({ tasks, report }) => {
      assert.match(String(tasks.get('draft')?.error), 'is not done after 4 turns');
      assert.is(report.wallMs, 4_000);
    });
  }),
);

scenario(
  'loop',
  'each turn goes on with the last text until it is good, one is tried again',
  { unit: '1s' },
  (tools) => {
    const { agent, flow, expectTask, expectTimeline } = tools;
    const texts = {
      a: { text: 'a', verdict: 'dull' },
      b: { text: 'b', verdict: 'long' },
      c: { text: 'c', verdict: 'good' },
    };
    flow(polish, {
      agents: {
        'draft/0': agent('--(a|)', texts),
        'draft/1': agent(['-#', '--(b|)'], texts),
        'draft/2': agent('---(c|)', texts),
      },
    });
    expectTask(draft).toBe('2s a 3s b 2s (c|)', texts);
    expectTask(edit).toBe('9s (c|)', { c: 'c' });
    expectTimeline().toBe(`
    draft    ?????????|
    edit     .........|
    draft/0  ==|
    draft/1  __=~==|
    draft/2  ______===|
  `);
  },
);

test.run();
