/** The part of `ctx` that all executors have, and what few of them have. */
interface AgentContext {
  readonly taskId: string;
  readonly runId: string;
  readonly attempt: number;
  readonly idempotencyKey: string;
  usage(usage: { readonly inputTokens?: number }): void;
  log(message: string, data?: unknown): void;
  sleep?(ms: number): Promise<void>;
}

function wait(ms: number, ctx: AgentContext): Promise<void> {
  return ctx.sleep?.(ms) ?? new Promise((done) => setTimeout(done, ms));
}

/** Gives back what it got. */
export function echo(inputs: unknown): unknown {
  return inputs;
}

/** Tells who it is. */
export function facts(_: unknown, { taskId, runId, attempt, idempotencyKey }: AgentContext): unknown {
  return { taskId, runId, attempt, idempotencyKey };
}

/** Values from 1, the last one is the result. */
export async function* count({ to }: { to: number }, ctx: AgentContext): AsyncGenerator<number> {
  for (let i = 1; i <= to; i++) {
    await wait(1, ctx);
    yield i;
  }
}

/** Takes its time. */
export async function sleep({ ms }: { ms: number }, ctx: AgentContext): Promise<string> {
  await wait(ms, ctx);
  return 'awake';
}

/** Fails in its first attempts. */
export async function fail(
  { times, isRetryable }: { times: number; isRetryable?: boolean },
  ctx: AgentContext,
): Promise<number> {
  await wait(1, ctx);
  if (ctx.attempt > times) return ctx.attempt;
  const error = new TypeError('wrong', { cause: new Error('deeper') });
  throw Object.assign(error, { code: 'E_WRONG', ...(isRetryable !== undefined && { isRetryable }) });
}

/** Says what it used, and something more. */
export async function report(_: unknown, ctx: AgentContext): Promise<void> {
  ctx.usage({ inputTokens: 3 });
  ctx.log('at work', { attempt: ctx.attempt });
  await wait(1, ctx);
  ctx.usage({ inputTokens: 4 });
}
