import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  human,
  memory,
  RxhiveError,
  typed,
  virtual,
  type WorkflowResult,
  workflow,
} from '../../lib/index.js';

const hour = 3_600_000;
const jumps: readonly (readonly [name: string, ms: number])[] = [
  ['stays', 0],
  ['is set back', -hour],
  ['is set forward', hour],
];

/** Sets the clock of the machine by `ms` when `work` says so; it is right again afterwards. */
async function withClock<T>(ms: number, work: (set: () => void) => Promise<T>): Promise<T> {
  const real = Date.now;
  let shift = 0;
  Date.now = () => real() + shift;
  try {
    return await work(() => {
      shift = ms;
    });
  } finally {
    Date.now = real;
  }
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof RxhiveError ? error.code : undefined;

/** What waits while the clock of the machine is set; `set` is to be called when the wait has begun. */
const waits: Readonly<Record<string, (set: () => void) => Promise<WorkflowResult<unknown>>>> = {
  'ctx.sleep': (set) => {
    const flow = workflow({ name: 'sleep' });
    flow.task('t', {
      run: (_, ctx) => {
        const slept = ctx.sleep(20);
        set();
        return slept;
      },
    });
    return flow.run().result();
  },
  'the pause before a retry': (set) => {
    const flow = workflow({ name: 'backoff' });
    flow.task('t', {
      retry: { count: 1, backoff: { initial: 20, jitter: 'none' } },
      run: (_, ctx) => {
        if (ctx.attempt === 1) throw new Error('once');
      },
    });
    const run = flow.run();
    run.events$.subscribe((event) => event.type === 'task' && event.reason === 'backing-off' && set());
    return run.result();
  },
  'a timeout that is far off': (set) => {
    const flow = workflow({
      name: 'far',
      timeout: { attempt: 60_000, total: 60_000, idle: 60_000, queue: 60_000 },
    });
    flow.task('t', {
      run: async (_, ctx) => {
        set();
        await ctx.sleep(5);
      },
    });
    return flow.run().result();
  },
  'a window of a limiter': (set) => {
    const flow = workflow({ name: 'window', limiter: virtual({ minTime: 10 }) });
    for (let i = 0; i < 3; i++) flow.task(`t${i}`, { run: () => (i === 0 ? set() : undefined) });
    return flow.run().result();
  },
  'the hold after a 429': (set) => {
    const flow = workflow({ name: 'hold', groups: { llm: { concurrency: 2 } } });
    flow.task('t', {
      group: 'llm',
      retry: 1,
      run: (_, ctx) => {
        if (ctx.attempt > 1) return;
        set();
        throw Object.assign(new Error('slow down'), { status: 429, retryAfter: 0.02 });
      },
    });
    return flow.run().result();
  },
  'the deadline of a question': (set) => {
    const flow = workflow({ name: 'question' });
    flow.task('t', {
      run: (_, ctx) => {
        const answer = ctx.ask(human(typed<string>(), { prompt: 'Name?', deadline: 20, default: 'nobody' }));
        set();
        return answer;
      },
    });
    return flow.run({ store: memory(), runId: 'question' }).result();
  },
};

for (const [how, ms] of jumps) {
  for (const [what, begin] of Object.entries(waits)) {
    test(`${what} ends as it would, when the clock of the machine ${how}`, async () => {
      const result = await withClock(ms, begin);
      assert.is(result.status, 'succeeded');
      assert.ok(result.report.wallMs >= 0 && result.report.wallMs < hour / 2, `${result.report.wallMs}`);
    });
  }

  test(`a timeout ends a body that never does, when the clock of the machine ${how}`, async () => {
    const result = await withClock(ms, (set) => {
      const flow = workflow({ name: 'timeout' });
      flow.task('t', {
        timeout: 20,
        run: () => {
          set();
          return new Promise(() => undefined);
        },
      });
      return flow.run().result();
    });
    assert.is(codeOf(result.tasks.get('t')?.error), 'TASK_TIMEOUT');
  });

  test(`a question that is not due stays open, when the clock of the machine ${how}`, async () => {
    await withClock(ms, async (set) => {
      const flow = workflow({ name: 'patience' });
      flow.task('t', {
        run: (_, ctx) => {
          const answer = ctx.ask(
            human(typed<string>(), { prompt: 'Name?', deadline: 60_000, default: 'nobody' }),
          );
          set();
          return answer;
        },
      });
      const run = flow.run();
      const result = run.result();
      await run.answer(run.questions()[0]?.id as string, 'ann');
      assert.is((await result).results.get({ id: 't' } as never), 'ann');
    });
  });
}

test('stamps are the time of day', async () => {
  await withClock(-hour, async (set) => {
    set();
    const run = workflow({ name: 'stamp' }).run({ keepOpen: true });
    let startedAt = 0;
    run.events$.subscribe((event) => {
      if (event.type === 'run' && event.reason === 'started') startedAt = event.startedAt ?? 0;
    });
    assert.ok(Math.abs(startedAt - Date.now()) < hour / 2, `${startedAt}`);
    run.cancel();
  });
});

test.run();
