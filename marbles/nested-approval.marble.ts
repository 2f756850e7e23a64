import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { marbles } from '../lib/testing/index.js';
import { magazine, print } from './nested-approval.js';
import { scenario } from './support/scenario.js';

test(
  'nested approval: who says no fails the page, and says which',
  marbles({ unit: '1h' }, ({ agent, answer, flow, expectTask, after }) => {
    flow(magazine, { agents: { 'cover/draft': agent('-(c|)'), 'story/draft': agent('-(s|)') } });
    answer('3h', 'cover/approve?print', false);
    answer('4h', 'story/approve?print', true);
    expectTask('story').toBe('4h (s|)', { s: 's' });
    after(({ tasks }) => {
      assert.match(
        String(tasks.get('cover')?.error),
        'has no result of "approve", as "cover/approve" failed',
      );
      assert.is(tasks.get('print')?.status, 'skipped');
    });
  }),
);

scenario('nested-approval', 'questions of nested workflows, one slot for all', { unit: '1h' }, (tools) => {
  const { agent, answer, flow, expectTask, expectTimeline } = tools;
  flow(magazine, { agents: { 'cover/draft': agent('--(c|)'), 'story/draft': agent('--(s|)') } });
  answer('9h', 'cover/approve?print', true);
  answer('6h', 'story/approve?print', true);
  expectTask(print).toBe('9h (p|)', { p: 'c/s' });
  expectTimeline().toBe(`
    cover.input    |
    cover/draft    ==|
    cover/approve  ..::?????|
    cover          .........|
    story.input    |
    story/draft    ::==|
    story/approve  ....??|
    story          ......|
    print          .........|
  `);
});

test.run();
