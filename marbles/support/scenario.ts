import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type MarbleOptions, type MarbleTools, marbles, timelineSvg } from '../../lib/testing/index.js';

/**
 * A marble test whose last run is drawn: docs/marbles/NAME.svg is what the test has seen. `npm run draw` writes it,
 * and a test that sees something else than the picture shows fails.
 */
export function scenario(
  name: string,
  fact: string,
  options: MarbleOptions,
  body: (tools: MarbleTools) => unknown,
): void {
  const seen: MarbleOptions['seen'] = (pictures) => {
    const picture = pictures.at(-1);
    if (picture === undefined) throw new Error('the test has no run');
    const svg = timelineSvg(picture, { title: `${name}: ${fact}` });
    const file = `docs/marbles/${name}.svg`;
    if (process.env.DRAW === '1') writeFileSync(file, svg);
    else assert.is(readFileSync(file, 'utf8'), svg, `${file} is old; run: npm run draw`);
  };
  test(`${name}: ${fact}`, marbles({ ...options, seen }, body));
}
