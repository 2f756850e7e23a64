import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fakeAgent } from '../lib/testing/index.js';
import { translate } from './budget.js';
import { scenario } from './support/scenario.js';

scenario('budget', 'when the tokens are spent nothing new starts', { unit: '1s' }, (tools) => {
  const { flow, expectTimeline, expectStatus, after } = tools;
  flow(translate, {
    agents: { translate: fakeAgent({ duration: 2_000, usage: { outputTokens: 300 }, value: 'ok' }) },
  });
  expectTimeline().toBe(`
    page 1  ==|
    page 2  ==|
    page 3  ::==|
    page 4  ::==|
    page 5  ::::x
    page 6  ::::x
  `);
  expectStatus('partial');
  after((result) => {
    assert.equal(result.report.counts.succeeded, 4);
    assert.is(result.tasks.get('page 4')?.usage.outputTokens, 300);
  });
});

test.run();
