import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crawl } from './crawl.js';
import { scenario } from './support/scenario.js';

scenario('crawl', 'never more than two requests in any second', { unit: 250 }, (tools) => {
  const { agent, flow, expectTimeline, after } = tools;
  flow(crawl, { agents: { fetch: agent('---(h|)', { h: 'ok' }) } });
  expectTimeline('page 1', 'page 2', 'page 3', 'page 4', 'page 5').toBe(`
    page 1  ===|
    page 2  ===|
    page 3  ::::===|
    page 4  ::::===|
    page 5  ::::::::===|
  `);
  after((result) => {
    assert.is(result.tasks.get('page 5')?.waits.permit, 2_000);
  });
});

test.run();
