import { onAbort } from '../kernel/abort.js';
import { exitCodes } from './exit-code.js';
import type { Output } from './output.js';

/** Ms in which a signal that comes twice counts once: npm and npx pass on what the terminal has sent already. */
const echoMs = 50;
/** Ms after a SIGTERM until what still runs is stopped: who sends it, such as Docker, kills the process after 10 s or later. */
const termMs = 8_000;

/** Something that can be left as it is, to go on later. */
interface Drainable {
  drain(options: { readonly deadline?: number }): unknown;
}

/** How work hears of Ctrl-C and SIGTERM. */
export interface Interrupts {
  /** Aborted when it is to be cancelled. */
  readonly signal: AbortSignal;
  /** The first one drains `run`, which can go on later, and the next one cancels. */
  drains(run: object): void;
}

/**
 * Does work that Ctrl-C and SIGTERM cancel: the first aborts its signal, the second ends the process; where there is something to drain,
 * there is one before them that does that. Around it they end the process at once, as always. Work that stands still, with
 * nothing left in the process that could go on, is aborted too, and has failed.
 */
export async function interruptible(
  out: Output,
  work: (interrupts: Interrupts) => Promise<number>,
): Promise<number> {
  const stop = new AbortController();
  let drainable: Drainable | undefined;
  let last = Number.NEGATIVE_INFINITY;
  let stands = false;
  const interrupt = (name: NodeJS.Signals): void => {
    const before = last;
    last = performance.now();
    if (last - before <= echoMs) return;
    if (drainable !== undefined) {
      out.note('rxhive: draining: nothing new begins, what runs may end; once more cancels');
      const run = drainable;
      drainable = undefined;
      run.drain(name === 'SIGTERM' ? { deadline: termMs } : {});
    } else if (!stop.signal.aborted) {
      out.note('rxhive: cancelling; once more ends the process at once');
      stop.abort(name === 'SIGINT' ? 'Ctrl-C' : name);
    } else process.exit(exitCodes.cancelled);
  };
  const standstill = (): void => {
    if (stop.signal.aborted) return;
    stands = true;
    out.note('rxhive: it stands still, for nothing is left in the process that could go on; cancelling');
    stop.abort('nothing was left in the process that could go on');
  };
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt).on('beforeExit', standstill);
  try {
    const code = await work({
      signal: stop.signal,
      drains: (run) => {
        if ('drain' in run) drainable = run as Drainable;
      },
    });
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
