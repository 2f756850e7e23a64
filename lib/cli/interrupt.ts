import { onAbort } from '../kernel/abort.js';
import { exitCodes } from './exit-code.js';
import type { Output } from './output.js';

/** Ms in which a signal that comes twice counts once: npm and npx pass on what the terminal has sent already. */
const echoMs = 50;

/**
 * Does work that Ctrl-C and SIGTERM cancel: the first aborts the signal it is given, the second ends the process. Around
 * it they end the process at once, as always. Work that stands still, with nothing left in the process that could go on,
 * is aborted too, and has failed.
 */
export async function interruptible(
  out: Output,
  work: (signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const stop = new AbortController();
  let first = 0;
  let stands = false;
  const interrupt = (name: NodeJS.Signals): void => {
    if (!stop.signal.aborted) {
      first = performance.now();
      out.note('rxhive: cancelling; once more ends the process at once');
      stop.abort(name === 'SIGINT' ? 'Ctrl-C' : name);
    } else if (performance.now() - first > echoMs) process.exit(exitCodes.cancelled);
  };
  const standstill = (): void => {
    if (stop.signal.aborted) return;
    stands = true;
    out.note('rxhive: it stands still, for nothing is left in the process that could go on; cancelling');
    stop.abort('nothing was left in the process that could go on');
  };
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt).on('beforeExit', standstill);
  try {
    const code = await work(stop.signal);
    return stands && code === exitCodes.cancelled ? exitCodes.failed : code;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt).off('beforeExit', standstill);
  }
}

/** Resolves when it is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    onAbort(signal, () => done());
  });
}
