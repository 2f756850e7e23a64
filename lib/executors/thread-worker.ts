import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { ThreadJob, ThreadMessage } from './thread-protocol.js';
import type { ThreadBody, ThreadContext } from './threads.js';
import { writeError } from './written-error.js';

/** Runs in the thread: calls the function of the user and tells what comes of it. */
export default async function work(job: ThreadJob): Promise<void> {
  const say = (message: ThreadMessage): void => job.port.postMessage(message);
  try {
    say({ kind: 'begun' });
    const module = await load(job.file);
    const body = module[job.name];
    if (typeof body !== 'function') {
      const message = `${job.file} exports no function ${job.name}; correct threads({ file, name }).`;
      throw Object.assign(new Error(message), { code: 'INVALID_OPTION', isRetryable: false });
    }
    const ctx: ThreadContext = {
      ...job.facts,
      usage: (usage) => say({ kind: 'usage', usage }),
      log: (message, data) => say({ kind: 'log', message, data }),
      breathe: () => new Promise((done) => setImmediate(done)),
    };
    const returned: unknown = await (body as ThreadBody)(job.inputs as never, ctx);
    const tell = (value: unknown): void => say({ kind: 'value', value });
    if (isStream(returned)) for await (const value of returned) tell(value);
    else if (isObservable(returned)) await follow(returned, tell);
    else {
      say({ kind: 'done', value: returned });
      return;
    }
    say({ kind: 'ended' });
  } catch (error) {
    say({ kind: 'failed', error: writeError(error) });
  }
}

async function load(file: string): Promise<Record<string, unknown>> {
  try {
    return (await import(file)) as Record<string, unknown>;
  } catch (error) {
    // Loaders such as tsx hook into require in threads, but not into import.
    if ((error as NodeJS.ErrnoException).code !== 'ERR_UNKNOWN_FILE_EXTENSION') throw error;
    return createRequire(import.meta.url)(fileURLToPath(file)) as Record<string, unknown>;
  }
}

function follow(stream: ObservableLike, tell: (value: unknown) => void): Promise<void> {
  return new Promise((done, failed) => {
    stream.subscribe({
      next: (value) => {
        try {
          tell(value);
        } catch (error) {
          failed(error);
        }
      },
      error: failed,
      complete: done,
    });
  });
}

interface ObservableLike {
  subscribe(observer: { next(value: unknown): void; error(error: unknown): void; complete(): void }): unknown;
}

function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof (value as AsyncIterable<unknown> | undefined)?.[Symbol.asyncIterator] === 'function';
}

function isObservable(value: unknown): value is ObservableLike {
  return typeof (value as ObservableLike | undefined)?.subscribe === 'function';
}
