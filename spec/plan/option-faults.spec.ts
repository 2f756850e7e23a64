import { NEVER } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type RunOptions,
  RxhiveError,
  WorkflowDefinitionError,
  type WorkflowOptions,
  workflow,
} from '../../lib/index.js';

const run = (): number => 1;

/** What is wrong with options, one sentence each. */
function faults(settings: object, task: object = {}): string[] {
  try {
    const flow = workflow({ name: 'odd', ...settings } as WorkflowOptions);
    flow.task('t', { run, ...task });
    flow.run();
  } catch (error) {
    if (!(error instanceof WorkflowDefinitionError)) throw error;
    return error.faults.map(({ kind, message }) => `${kind}: ${message}`);
  }
  return [];
}

test('all that is wrong with a workflow and its task is told at once', () => {
  const breaker = { failures: { rate: 2, window: 0 }, openfor: 1 };
  assert.equal(
    faults(
      {
        maxTasks: 0,
        retry: {},
        load$: NEVER,
        memory: { soft: 0.9, hard: 0.5 },
        groups: { api: { concurrency: 0, breaker } },
      },
      {
        priority: 'high',
        timeout: { attempts: 5, idle: 0 },
        hedge: {},
        cache: [],
        onConflict: 'never',
        group: 'ap',
      },
    ),
    [
      'bad-number: maxTasks is 0; give a whole number from 1, or Infinity.',
      'bad-number: groups.api.concurrency is 0; give a whole number from 1, or Infinity.',
      'bad-option: groups.api.breaker.openfor is unknown; use failures, openFor, halfOpen, whenOpen, counts.',
      'bad-number: groups.api.breaker.failures.rate is 2; give a share above 0, at most 1.',
      'bad-number: groups.api.breaker.failures.window is 0; give ms above 0.',
      'bad-number: memory.soft 0.9 is above memory.hard 0.5; exchange them.',
      'bad-option: workflow.retry.count is missing; give the number of tries after the first.',
      'bad-number: Task "t": priority is "high"; give a finite number.',
      'bad-number: Task "t": hedge.after is undefined; give ms above 0, or "p95".',
      'bad-option: Task "t": cache is an array; give { key, ttl }, both optional.',
      'bad-option: Task "t": onConflict is "never"; give rerun, replay or fail.',
      'bad-option: Task "t".timeout.attempts is unknown; use attempt, total, idle or queue.',
      'bad-number: Task "t".timeout.idle is 0; give ms above 0, or leave it out for no limit.',
      'bad-option: Task "t": onConflict has no effect without isolation; add isolation: "serializable".',
      'unknown-group: Task "t" is in group "ap", which does not exist; add it to groups.',
    ],
  );
});

test('settings of a limiter are looked at as deep as those of a retry', () => {
  const backoff = { initial: -1, max: Number.NaN };
  const told = (where: string): string[] => [
    `${where}.initial is -1; give a number from 0.`,
    `${where}.max is NaN; give a number from 0, or Infinity.`,
  ];
  assert.equal(
    faults({ limiter: { backoff } }),
    told('limiter.backoff').map((one) => `bad-option: ${one}`),
  );
  assert.equal(
    faults({}, { retry: { count: 1, backoff } }),
    told('Task "t".retry.backoff').map((one) => `bad-number: ${one}`),
  );
});

test('all that is wrong with the options of a run is told at once', () => {
  const flow = workflow({ name: 'odd', memory: { hard: 0.9 } });
  flow.task('t', { run });
  const options = { runId: ' ', storeTimeout: 0, suspend: 'exit', pauseBefore: [1] };
  try {
    flow.run(options as unknown as RunOptions<undefined>);
    assert.unreachable();
  } catch (error) {
    if (!(error instanceof RxhiveError)) throw error;
    assert.is(error.code, 'INVALID_OPTION');
    for (const name of [
      'runId',
      'storeTimeout',
      'pauseBefore',
      'memory.hard needs load$',
      'suspend: "exit" needs',
    ])
      assert.ok(error.message.includes(name), name);
  }
});

test.run();
