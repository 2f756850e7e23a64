import type { SchedulerLike } from 'rxjs';
import type { Executor } from '../../model/executor.js';
import type { WorkflowResult } from '../../model/result.js';
import type { Run } from '../../run.js';
import { workflow } from '../../workflow.js';
import { type ConformanceCheck, same } from './check.js';

/** The executors that {@link executorConformance} is to check. */
export interface ExecutorSubject {
  /** An executor of the function of that name of the module `executor-agents` beside this one. */
  agent(name: string): Executor<unknown>;
  /** Time of the runs. Default: the wall clock. */
  readonly scheduler?: SchedulerLike;
  /** Lets time pass until `result` is there. Default: it passes by itself. */
  settle?<T>(result: Promise<T>): Promise<T>;
  /** Values, usage and log messages may be lost on their way; ends are not. */
  readonly isLossy?: boolean;
  /** Gives back what was made for a check. */
  close?(): Promise<void> | void;
}

/** What an {@link ExecutorSubject} is made for. */
export type ExecutorFactory = () => ExecutorSubject | Promise<ExecutorSubject>;

/** What every executor must do, as checks to be run by any test runner; `make` is called for each. */
export function executorConformance(make: ExecutorFactory): readonly ConformanceCheck[] {
  const checks: Record<string, (subject: ExecutorSubject) => Promise<void>> = {
    'values come back as they were': async (subject) => {
      const value = {
        text: 'zwei ✓ 𝒳',
        list: [1, null, { deep: true }],
        map: new Map([['a', 1]]),
        when: new Date(5),
      };
      const given = flowOf('echo');
      const source = given.task('source', { run: () => value });
      const task = given.task('echo', { dependencies: { source }, executor: subject.agent('echo') });
      const { results } = await ended(subject, given);
      const back = results.get(task) as { source: typeof value };
      same(JSON.stringify(back.source), JSON.stringify(value), 'result');
      same(back.source.map instanceof Map && [...back.source.map], [['a', 1]], 'a map');
      same(back.source.when instanceof Date && back.source.when.getTime(), 5, 'a date');
    },

    'the attempt knows who it is': async (subject) => {
      const flow = flowOf('facts');
      const task = flow.task('a/b', { executor: subject.agent('facts') });
      const { results, report } = await ended(subject, flow);
      const { runId } = report;
      same(results.get(task), { taskId: 'a/b', runId, attempt: 1, idempotencyKey: `${runId}/a/b` }, 'facts');
    },

    'values of a stream come in order, each once, and the last one is the result': async (subject) => {
      const flow = flowOf('count');
      const source = flow.task('source', { run: () => 20 });
      const task = flow.task('count', { dependencies: { to: source }, executor: subject.agent('count') });
      const seen: unknown[] = [];
      const { results } = await ended(subject, flow, (run) =>
        run.events$.subscribe((event) => {
          if (event.type === 'value' && event.taskId === 'count') seen.push(event.value);
        }),
      );
      same(results.get(task), 20, 'result');
      const all = Array.from({ length: 20 }, (_, i) => i + 1);
      if (subject.isLossy === true) {
        same(
          seen,
          all.filter((one) => seen.includes(one)),
          'values',
        );
        same(seen.at(-1), 20, 'the last value');
      } else same(seen, all, 'values');
    },

    'an error keeps what programs decide by': async (subject) => {
      const flow = flowOf('fail');
      const times = flow.task('times', { run: () => 9 });
      flow.task('a', { dependencies: { times }, executor: subject.agent('fail') });
      const { tasks } = await ended(subject, flow);
      const { error, status } = tasks.get('a') ?? {};
      const { name, message, code, cause } = error as Error & { code?: string };
      same([status, name, message, code], ['failed', 'TypeError', 'wrong', 'E_WRONG'], 'error');
      same((cause as Error | undefined)?.message, 'deeper', 'cause');
    },

    'attempts are repeated as retry says, and numbered': async (subject) => {
      const flow = flowOf('retry', { retry: { count: 3, backoff: () => 1 } });
      const times = flow.task('times', { run: () => 2 });
      const never = flow.task('never', { run: () => false });
      const task = flow.task('a', { dependencies: { times }, executor: subject.agent('fail') });
      flow.task('b', { dependencies: { times, isRetryable: never }, executor: subject.agent('fail') });
      const { results, tasks, report } = await ended(subject, flow);
      same(results.get(task), 3, 'attempt that succeeded');
      same(tasks.get('b')?.attempts.length, 1, 'attempts of what is not to be repeated');
      same(report.retries, 2, 'retries');
    },

    'a timeout ends the attempt': async (subject) => {
      const flow = flowOf('timeout');
      const ms = flow.task('ms', { run: () => 20_000 });
      flow.task('a', { dependencies: { ms }, executor: subject.agent('sleep'), timeout: 300 });
      const { tasks } = await ended(subject, flow);
      same((tasks.get('a')?.error as { code?: string } | undefined)?.code, 'TASK_TIMEOUT', 'code');
    },

    'cancelling ends the run at once': async (subject) => {
      const flow = flowOf('cancel');
      const ms = flow.task('ms', { run: () => 20_000 });
      flow.task('a', { dependencies: { ms }, executor: subject.agent('sleep') });
      const { status, tasks } = await ended(subject, flow, (run) =>
        run.events$.subscribe((event) => {
          if (event.type === 'attempt' && event.reason === 'started' && event.taskId === 'a')
            run.cancel('enough');
        }),
      );
      same([status, tasks.get('a')?.status], ['cancelled', 'cancelled'], 'status');
    },

    'a failure with fail-fast ends the others': async (subject) => {
      const flow = flowOf('fail-fast', { failurePolicy: 'fail-fast' });
      const ms = flow.task('ms', { run: () => 20_000 });
      const times = flow.task('times', { run: () => 9 });
      flow.task('long', { dependencies: { ms }, executor: subject.agent('sleep') });
      flow.task('bad', { dependencies: { times }, executor: subject.agent('fail') });
      const { status, tasks } = await ended(subject, flow);
      same(
        [status, tasks.get('long')?.status, tasks.get('bad')?.status],
        ['failed', 'cancelled', 'failed'],
        'status',
      );
    },

    'usage adds up, and log messages are told': async (subject) => {
      const flow = flowOf('report');
      flow.task('a', { executor: subject.agent('report') });
      const logs: unknown[] = [];
      const { tasks } = await ended(subject, flow, (run) =>
        run.events$.subscribe((event) => {
          if (event.type === 'log' && event.message === 'at work') logs.push(event.data);
        }),
      );
      same(tasks.get('a')?.status, 'succeeded', 'status');
      if (subject.isLossy === true) return;
      same(tasks.get('a')?.usage.inputTokens, 7, 'tokens');
      same(logs, [{ attempt: 1 }], 'log');
    },

    'many run beside each other, each with its own result': async (subject) => {
      const flow = flowOf('many');
      const executor = subject.agent('echo');
      const tasks = Array.from({ length: 30 }, (_, i) => {
        const n = flow.task(`n${i}`, { run: () => i });
        return flow.task(`t${i}`, { dependencies: { n }, executor });
      });
      const { results, report } = await ended(subject, flow);
      same(
        tasks.map((task) => results.get(task)),
        tasks.map((_, n) => ({ n })),
        'results',
      );
      same([report.retries, report.lost], [0, 0], 'retries and losses');
    },
  };
  return Object.entries(checks).map(([name, check]) => ({
    name,
    run: async () => {
      const subject = await make();
      try {
        await check(subject);
      } finally {
        await subject.close?.();
      }
    },
  }));
}

type Settings = {
  readonly retry?: { count: number; backoff: () => number };
  readonly failurePolicy?: 'fail-fast';
};

function flowOf(name: string, settings: Settings = {}) {
  return workflow({ name, ...settings });
}

/** Runs a workflow to its end. */
async function ended(
  subject: ExecutorSubject,
  flow: ReturnType<typeof flowOf>,
  watch: (run: Run<unknown>) => unknown = () => undefined,
): Promise<WorkflowResult<unknown>> {
  const { scheduler, settle = (result) => result } = subject;
  const run = flow.run(scheduler === undefined ? {} : { scheduler }) as unknown as Run<unknown>;
  watch(run);
  return settle(run.result());
}
