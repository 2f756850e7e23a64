import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type TimelinePicture, timelineSvg } from '../../lib/testing/index.js';

const hostile = `<img src=x onerror=alert(1)>"'&\u0000\u202e${'x'.repeat(100_000)}`;

test('hostile names and values do nothing in a picture', () => {
  const picture: TimelinePicture = {
    rows: [
      {
        taskId: hostile,
        changes: [
          { at: 0, status: 'waiting' },
          { at: 5, status: 'running' },
          { at: 9, status: 'backing-off' },
          { at: 20, status: 'failed' },
        ],
      },
    ],
    values: [{ taskId: hostile, at: 6, value: '<b' }],
    endedAt: 20,
    unit: 1,
  };
  const svg = timelineSvg(picture, { title: hostile });
  assert.not.match(svg, /<img|<b</);
  assert.match(svg, /&lt;img/);
  assert.match(svg, /&lt;b<\/text>/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: looks for them
  assert.not.match(svg, /[\u0000-\u0009\u000b-\u001f]/);
  assert.match(svg, /prefers-color-scheme:dark/);
  assert.not.match(svg, /NaN|undefined|Infinity/);
});

test('a run without tasks or time is drawn too', () => {
  const svg = timelineSvg({ rows: [], values: [], endedAt: 0, unit: 1 });
  assert.match(svg, /^<svg[\s\S]*<\/svg>\n$/);
  assert.not.match(svg, /NaN|Infinity/);
});

test('every marble test is drawn and shown in the docs', () => {
  const page = readFileSync('docs/guides/marbles.md', 'utf8');
  const tests = readdirSync('marbles').filter((name) => name.endsWith('.marble.ts'));
  assert.ok(tests.length >= 15);
  for (const name of tests) {
    const picture = `marbles/${name.replace('.marble.ts', '.svg')}`;
    assert.ok(existsSync(`docs/${picture}`), picture);
    assert.ok(page.includes(`(../${picture})`), `${picture} is not shown`);
  }
});

test.run();
