import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type MarbleOptions,
  type MarbleTools,
  marbles,
  type TimelinePicture,
  timelineSvg,
} from '../../lib/testing/index.js';

interface ScenarioOptions extends MarbleOptions {
  /** Draws all runs in one picture, not the last one alone; all begin at once. */
  readonly allRuns?: boolean;
}

/**
 * A marble test whose last run, or all of them, are drawn: docs/marbles/NAME.svg is what the test has seen. `npm run draw` writes it,
 * and a test that sees something else than the picture shows fails.
 */
export function scenario(
  name: string,
  fact: string,
  { allRuns = false, ...options }: ScenarioOptions,
  body: (tools: MarbleTools) => unknown,
): void {
  const seen: MarbleOptions['seen'] = (pictures) => {
    const picture = allRuns ? pictures.reduce(together) : pictures.at(-1);
    if (picture === undefined) throw new Error('the test has no run');
    const svg = timelineSvg(picture, { title: `${name}: ${fact}` });
    const file = `docs/marbles/${name}.svg`;
    if (process.env.DRAW === '1') writeFileSync(file, svg);
    else assert.is(readFileSync(file, 'utf8'), svg, `${file} is old; run: npm run draw`);
  };
  test(`${name}: ${fact}`, marbles({ ...options, seen }, body));
}

/** The rows of two runs, one under the other. */
function together(a: TimelinePicture, b: TimelinePicture): TimelinePicture {
  return {
    ...a,
    rows: [...a.rows, ...b.rows],
    values: [...a.values, ...b.values],
    endedAt: Math.max(a.endedAt, b.endedAt),
  };
}
