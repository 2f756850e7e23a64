import type { SchedulerLike } from 'rxjs';
import { latest, optional, type Run, workflow } from '../../lib/index.js';

/** A run of 500 tasks with failures, retries, a stream, state, groups and tasks that are added while it runs. */
export function showcase(
  options: {
    readonly pace?: number;
    readonly hostile?: string;
    /** Ms that the task `slow` takes. */
    readonly slow?: number;
    readonly scheduler?: SchedulerLike;
  } = {},
): Run {
  const { pace = 1, hostile, slow = 600 * pace, scheduler } = options;
  const flow = workflow({
    name: hostile ?? 'showcase',
    concurrency: 24,
    state: { done: 0, notes: {} as Record<string, string> },
    groups: { llm: { concurrency: 6, budget: { calls: 400 } }, web: { concurrency: 10 } },
  });
  const plan = flow.task('plan', {
    group: 'llm',
    type: 'planner',
    run: async (_, ctx) => {
      ctx.usage({ inputTokens: 900, outputTokens: 120 });
      ctx.log('thinking about what to read', { apiKey: 'hunter2' });
      await ctx.sleep(20 * pace);
      return ['bees', 'hives'];
    },
  });
  const pages = Array.from({ length: 240 }, (_, i) =>
    flow.task(`fetch_${i}`, {
      dependencies: { plan },
      group: 'web',
      type: 'fetch',
      retry: { count: 2, backoff: { initial: 5 * pace, jitter: 'none' } },
      run: async (_, ctx) => {
        await ctx.sleep((1 + (i % 7)) * pace);
        if (i === 13) throw new Error(hostile ?? 'page 13 is gone');
        if (i % 40 === 5 && ctx.attempt === 1)
          throw Object.assign(new Error('too many requests'), { status: 429 });
        ctx.update((s) => {
          s.done += 1;
        });
        return { page: i, words: 100 + i };
      },
    }),
  );
  const notes = pages.map((page, i) =>
    flow.task(`note_${i}`, {
      dependencies: [page],
      group: 'llm',
      type: 'reader',
      run: async ([{ words }], ctx) => {
        ctx.usage({ inputTokens: words * 2, outputTokens: words });
        await ctx.sleep((2 + (i % 5)) * pace);
        ctx.update((s) => {
          s.notes[`n${i}`] = `note ${i}`;
        });
        return `note ${i}`;
      },
    }),
  );
  const write = flow.task(hostile ?? 'write', {
    dependencies: Object.fromEntries(notes.map((note, i) => [`n${i}`, optional(note)])),
    type: 'writer',
    priority: 3,
    run: async function* (_, ctx) {
      for (const word of ['Bees ', 'live ', 'in ', hostile ?? 'hives.']) {
        await ctx.sleep(30 * pace);
        yield word;
      }
    },
  });
  flow.task('count', { dependencies: { text: latest(write) }, run: (inputs$) => inputs$ });
  flow.onTaskComplete(plan, (topics, add) => {
    for (let i = 0; i < 14; i++)
      add(`extra_${i}`, {
        dependencies: { plan },
        run: async (_: unknown, ctx: { sleep(ms: number): Promise<void> }) =>
          ctx.sleep(10 * pace).then(() => topics[i % 2]),
      });
  });
  flow.task('slow', { run: (_, ctx) => ctx.sleep(slow) });
  flow.task('broken', {
    run: () => {
      throw new TypeError('no such model');
    },
  });
  return flow.run({ runId: 'showcase', seed: 1, ...(scheduler && { scheduler }) }) as unknown as Run;
}
