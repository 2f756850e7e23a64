import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

/** Pages of a folder of docs/, with their text. */
function pagesOf(folder: string): { readonly page: string; readonly text: string }[] {
  return readdirSync(`docs/${folder}`, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !name.startsWith('reference')) // that is generated
    .map((name) => ({ page: name, text: readFileSync(`docs/${folder}/${name}`, 'utf8') }));
}

test('every guide says when you need it, shows an example, warns, and tells how to test it', () => {
  const form = ['## When you need it', '## Smallest example', '## Pitfalls', '## How to test it'];
  /** A gallery of pictures, and the page about tests, which has an example for each tool. */
  const others: Record<string, readonly string[]> = {
    'marbles.md': form,
    'testing.md': [form[1], form[3]] as string[],
  };
  const missing = pagesOf('guides').flatMap(({ page, text }) =>
    form
      .filter((heading) => !text.includes(`\n${heading}\n`) && !others[page]?.includes(heading))
      .map((heading) => `${page}: ${heading}`),
  );
  assert.equal(missing, []);
});

test('every guide and concept has its place in the order of reading', () => {
  for (const folder of ['guides', 'concepts']) {
    const orders = pagesOf(folder).map(
      ({ page, text }) => [page, /^---\n(?:\w+: .*\n)*?order: (\d+)\n/.exec(text)?.[1]] as const,
    );
    assert.equal(
      orders.filter(([, order]) => order === undefined).map(([page]) => page),
      [],
    );
    assert.is(
      new Set(orders.map(([, order]) => order)).size,
      orders.length,
      `${folder}: two pages at one place`,
    );
  }
});

test('no page is longer than 300 lines', () => {
  assert.equal(
    pagesOf('')
      .filter(({ text }) => text.split('\n').length > 301)
      .map(({ page }) => page),
    [],
  );
});

test.run();
