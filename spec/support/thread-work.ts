import { Observable } from 'rxjs';
import type { ThreadContext } from '../../lib/executors/threads.js';

/** Functions that specs run in threads. */
export default function double({ n }: { n: number }): number {
  return n * 2;
}

export function facts(_: unknown, ctx: ThreadContext) {
  ctx.usage({ inputTokens: 3, outputTokens: 4 });
  ctx.log('from a thread', { attempt: ctx.attempt });
  return { taskId: ctx.taskId, attempt: ctx.attempt, key: ctx.idempotencyKey };
}

export async function* count({ to }: { to: number }, ctx: ThreadContext) {
  for (let i = 1; i <= to; i++) {
    await ctx.breathe();
    yield i;
  }
}

export function observed(): Observable<string> {
  return new Observable((subscriber) => {
    subscriber.next('a');
    subscriber.next('b');
    subscriber.complete();
  });
}

export function fails(_: unknown, ctx: ThreadContext): never {
  throw Object.assign(new RangeError(`attempt ${ctx.attempt}`, { cause: new Error('below') }), {
    code: 'E_PLANNED',
    isRetryable: ctx.attempt < 3,
    connection: () => 'cannot be cloned',
  });
}

export function throwsText(): never {
  throw 'a text';
}

export function busy({ ms }: { ms: number }): number {
  const until = performance.now() + ms;
  let sum = 0;
  while (performance.now() < until) for (let k = 0; k < 1_000; k++) sum += Math.sqrt(k);
  return sum;
}

export function endless(): void {
  for (;;);
}

export function notCloneable() {
  return { fn: () => 1 };
}

export function exits(): void {
  process.exit(3);
}

export const notAFunction = 1;
