import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AgentTask,
  checkWorkflow,
  exponential,
  optional,
  quorum,
  type Workflow,
  WorkflowOrchestrator,
  workflow,
} from '../../lib/index.js';
import { fromSources } from '../support/from-sources.js';

const run = (): number => 1;

/** `KIND TASK` of all findings. */
function found(flow: { definition(): ReturnType<Workflow['definition']> }): string[] {
  return checkWorkflow(flow).map(({ kind, taskId }) => (taskId === undefined ? kind : `${kind} ${taskId}`));
}

test('a sound workflow has no findings', () => {
  const flow = workflow({
    name: 'sound',
    groups: { api: { concurrency: 2 } },
    resources: { gpu: 1 },
    retry: 3,
  });
  const a = flow.task('a', { group: 'api', timeout: { attempt: 1_000, total: 9_000, idle: 500 }, run });
  flow.task('b', { dependencies: [a], resources: { gpu: 1 }, run });
  assert.equal(found(flow), []);
  assert.equal(found(workflow({ name: 'empty', groups: { later: {} } })), []);
});

test('what can never run, and what is behind it', () => {
  const flow = workflow({ name: 'never', resources: { gpu: 1 } });
  const big = flow.task('big', { resources: { gpu: 2 }, run });
  const next = flow.task('next', { dependencies: [big], run });
  const last = flow.task('last', { dependencies: { next }, run });
  flow.task('anyway', { dependencies: [optional(last)], run });
  const small = flow.task('small', { run });
  flow.task('two of', { dependencies: [quorum(2, [big, small])], run });
  flow.task('one of', { dependencies: [quorum(1, [big, small])], run });
  assert.equal(found(flow), ['definition big', 'unreachable next', 'unreachable last', 'unreachable two of']);
  assert.match(checkWorkflow(flow)[2]?.message ?? '', /needs "big", which can never succeed/);
});

test('options that another one makes impossible', () => {
  const flow = workflow({ name: 'vain', groups: { one: { concurrency: 1 } } });
  flow.task('pause', {
    retry: { count: 2, backoff: { initial: 5_000, jitter: 'none' } },
    timeout: { total: 4_000 },
    run,
  });
  flow.task('function', { retry: { count: 1, backoff: () => 9_000 }, timeout: { total: 9_000 }, run });
  flow.task('throws', {
    retry: {
      count: 1,
      backoff: () => {
        throw new Error('later');
      },
    },
    timeout: { total: 9 },
    run,
  });
  flow.task('jitter', {
    retry: { count: 1, backoff: exponential({ initial: 5_000 }) },
    timeout: { total: 4_000 },
    run,
  });
  flow.task('total', { timeout: { attempt: 5, total: 5 }, run });
  flow.task('idle', { timeout: { attempt: 5, idle: 6 }, run });
  for (let i = 0; i < 4; i++)
    flow.task(`queue${i}`, {
      group: 'one',
      estimate: 1_000,
      timeout: { queue: 2_000 + i },
      run,
    });
  assert.equal(found(flow), [
    'retry-in-vain pause',
    'retry-in-vain function',
    'timeout-in-vain total',
    'timeout-in-vain idle',
    'queue-in-vain',
  ]);
  const none = workflow({ name: 'none', retryBudget: 0 });
  none.task('a', { retry: 1, run });
  assert.equal(found(none), ['retry-in-vain a']);
});

test('budgets that end before the tasks do, and what nobody names', () => {
  const flow = workflow({
    name: 'budgets',
    budget: { calls: 2 },
    groups: { llm: { budget: { calls: 1 } }, web: {} },
    resources: { gpu: 1 },
  });
  for (let i = 0; i < 3; i++) flow.task(`t${i}`, { group: 'llm', run });
  assert.equal(found(flow), ['budget-too-small', 'unused-group', 'unused-resource', 'budget-too-small']);
});

test('nothing is thrown, whatever is wrong', () => {
  const flow = workflow({ name: '', concurrency: -1, groups: { a: { concurrency: 0 } } });
  flow.task('a', { run: undefined as never });
  flow.task('b', null as never);
  flow.task('c', { dependencies: [undefined as never, 7 as never], run });
  const kinds = new Set(checkWorkflow(flow).map(({ kind }) => kind));
  assert.ok(kinds.has('definition'));
  const orchestrator = new WorkflowOrchestrator({ agents: {} as Record<string, () => number> });
  orchestrator.addTask(new AgentTask({ id: 'x', agentType: 'nobody' }));
  assert.equal(found(orchestrator), ['definition x']);
});

test('the command prints findings and exits with 1', () => {
  const file = 'spec/.pages-check.ts';
  writeFileSync(
    file,
    "import { workflow } from '../lib/index.js';\nconst flow = workflow({ name: 'w', groups: { none: {} } });\nflow.task('a', { run: () => 1 });\nexport default flow;\n",
  );
  try {
    execFileSync(process.execPath, [...fromSources, 'lib/cli/main.ts', 'check', file, '--json'], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
    assert.unreachable();
  } catch (error) {
    const { status, stdout } = error as { status: number; stdout: string };
    assert.is(status, 1);
    assert.is(JSON.parse(stdout).findings[0].kind, 'unused-group');
  } finally {
    rmSync(file, { force: true });
  }
});

test.run();
