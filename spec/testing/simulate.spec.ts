import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AgentTask, type WorkflowEvent, WorkflowOrchestrator, workflow } from '../../lib/index.js';
import { fakeAgent, lognormal, marbles, simulate, uniform } from '../../lib/testing/index.js';

function research() {
  const flow = workflow({
    name: 'research',
    concurrency: 4,
    groups: { web: { concurrency: 2 } },
    retry: { count: 3 },
    timeout: { attempt: 20_000 },
  });
  const topics = ['a', 'b', 'c', 'd', 'e'].map((id) =>
    flow.task(id, { group: 'web', type: 'search', run: async () => 'must not run' }),
  );
  flow.task('write', { dependencies: topics, type: 'write', run: async (found) => found.join() });
  return flow;
}

const agents = {
  search: fakeAgent({
    duration: lognormal(8_000),
    failure: 0.3,
    error: 'HTTP_500',
    usage: { inputTokens: 7 },
  }),
  write: fakeAgent({ duration: uniform(1_000, 2_000), value: (found: readonly string[]) => found.length }),
};

test('the same seed gives the same log, byte for byte; another seed another one', async () => {
  const [one, two, other] = [
    await simulate(research(), { agents, seed: 5 }),
    await simulate(research(), { agents, seed: 5 }),
    await simulate(research(), { agents, seed: 6 }),
  ];
  assert.is(one.log, two.log);
  assert.is.not(one.log, other.log);
  assert.is(one.result.status, 'succeeded');
  assert.is(one.result.results.get('write'), 5);
  assert.ok(one.result.report.wallMs > 10_000);
  assert.ok(one.result.report.retries > 0);
  assert.ok((one.result.tasks.get('a')?.usage.inputTokens ?? 0) >= 7);
  for (const line of one.log.trimEnd().split('\n')) assert.ok((JSON.parse(line) as WorkflowEvent).seq > 0);
});

test('what an attempt does depends on nothing but its name: other limits, same durations', async () => {
  const wide = research();
  const narrow = workflow({ ...research().settings, name: 'research', concurrency: 1 } as never);
  for (const id of ['a', 'b', 'c', 'd', 'e'])
    narrow.task(id, { group: 'web', type: 'search', run: async () => 0 } as never);
  const [one, two] = [await simulate(wide, { agents }), await simulate(narrow, { agents })];
  for (const id of ['a', 'b', 'c', 'd', 'e'])
    assert.is(one.result.tasks.get(id)?.runningMs, two.result.tasks.get(id)?.runningMs);
});

test('a run that does not end is cancelled at `until` and says what waits', async () => {
  const flow = workflow({ name: 'long' });
  const long = flow.task('long', { run: (_, ctx) => ctx.sleep(7_200_000) });
  flow.task('after', { dependencies: [long], run: () => 1 });
  const seen = await simulate(flow, { until: '1h' });
  assert.is(seen.ended, false);
  assert.is(seen.result.status, 'cancelled');
  assert.match(seen.open.join('\n'), /"after" waits for "long"/);
  const never = workflow({ name: 'never' });
  never.task('never', { run: () => new Promise(() => undefined) });
  assert.is((await simulate(never)).ended, false);
});

test('agents of an orchestrator are replaced by name', async () => {
  const orchestrator = new WorkflowOrchestrator({ agents: { writer: async () => 'real' } });
  orchestrator.addTask(new AgentTask({ id: 'w', agentType: 'writer' }));
  const seen = await simulate(orchestrator, {
    agents: { writer: fakeAgent({ value: 'fake', duration: 60_000 }) },
  });
  assert.is(seen.result.results.get('w'), 'fake');
  assert.is(seen.result.report.wallMs, 60_000);
});

test('faults and wrong numbers are told as anywhere', async () => {
  const problem = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => 'none',
      (error: Error) => error.message,
    );
  assert.match(await problem(simulate(workflow({ name: '' }))), /not empty/);
  assert.match(await problem(simulate(research(), { until: 'soon' })), /"soon" is no time/);
  assert.throws(() => fakeAgent({ failure: 2 }), /share from 0 to 1/);
});

test('an hour of retries over 200 attempts takes a few ms', async () => {
  const hour = marbles({ unit: '1s' }, ({ agent, flow, expectStatus, after }) => {
    const storm = workflow({
      name: 'storm',
      retry: { count: 4, backoff: () => 898_000 },
    });
    for (let i = 0; i < 40; i++)
      storm.task(`t${i}`, { timeout: 30_000, run: agent(['-#', '-----#', '-', '-#', '-a|']) });
    flow(storm);
    expectStatus('succeeded');
    after((result) => {
      assert.is(result.report.retries, 160);
      assert.ok(result.report.wallMs > 3_600_000, `${result.report.wallMs}`);
    });
  });
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 8; i++) {
    const begun = performance.now();
    await hour();
    best = Math.min(best, performance.now() - begun);
  }
  if (process.env.SHOW === '1') console.log(`200 attempts, 1 h: ${best.toFixed(1)} ms`);
  assert.ok(best < 60, `${best} ms`);
});

test.run();
