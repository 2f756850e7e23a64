import { appendFileSync } from 'node:fs';
import type { WorkerContext } from '../../lib/executors/bullmq.js';

/** Says in a file that an attempt has begun: a process that is killed cannot tell. */
function note(ctx: WorkerContext, more = ''): void {
  const file = process.env.BEGUN_FILE;
  if (file !== undefined) appendFileSync(file, `${ctx.taskId} ${ctx.attempt} ${process.pid}${more}\n`);
}

export const agents = {
  double: ({ n }: { readonly n: number }) => n * 2,
  async slow({ ms }: { readonly ms: number }, ctx: WorkerContext) {
    note(ctx);
    await ctx.sleep(ms);
    return process.pid;
  },
  async *count({ to, pause = 0 }: { readonly to: number; readonly pause?: number }, ctx: WorkerContext) {
    note(ctx);
    ctx.usage({ inputTokens: 3, outputTokens: 4 });
    for (let n = 1; n <= to; n++) {
      if (pause > 0) await ctx.sleep(pause);
      yield n;
    }
  },
  fails: ({ status }: { readonly status: number }) => {
    throw Object.assign(new Error('the provider is busy'), { status });
  },
  facts: (_: unknown, { taskId, attempt, idempotencyKey, input }: WorkerContext) => ({
    taskId,
    attempt,
    idempotencyKey,
    input,
    at: new Date(0),
    set: new Set([1n]),
  }),
  /** Counts for a long time; notes when it is told to stop. */
  async *watched(_: unknown, ctx: WorkerContext) {
    note(ctx);
    ctx.signal.addEventListener('abort', () => note(ctx, ' stopped'));
    for (let n = 1; n <= 100; n++) {
      await ctx.sleep(20);
      yield n;
    }
  },
  /** Computes without giving the event loop back. */
  hog({ ms }: { readonly ms: number }, ctx: WorkerContext) {
    note(ctx);
    const end = performance.now() + ms;
    while (performance.now() < end);
    return 'computed';
  },
  /** Ends its process. */
  poison(_: unknown, ctx: WorkerContext): number {
    note(ctx);
    process.kill(process.pid, 'SIGKILL');
    return 0;
  },
  large: ({ size }: { readonly size: number }) => 'x'.repeat(size),
  tooMuch: (_: unknown, ctx: WorkerContext) => (ctx as unknown as { update(): void }).update(),
};
