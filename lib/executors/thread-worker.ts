import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { returned } from './returned.js';
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
    const made = await returned((body as ThreadBody)(job.inputs as never, ctx), (value) =>
      say({ kind: 'value', value }),
    );
    say(made.isStream ? { kind: 'ended' } : { kind: 'done', value: made.value });
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
