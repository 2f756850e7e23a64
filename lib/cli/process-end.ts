import { exitCodes } from './exit-code.js';
import { Output } from './output.js';

/** Ms that what a module keeps open, such as connections, may keep the process after all is done. */
const graceMs = 5_000;
const cancelledGraceMs = 1_000;

/**
 * Lets a command be the process: its exit code is that of the command, whatever else happens. Readers that leave early,
 * as `head` does, change nothing.
 */
export function endWith(
  main: (words: readonly string[], out: Output) => Promise<number>,
  words: readonly string[],
): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  const out = new Output(words.includes('--json'), process);
  let isDone = false;
  // Of a module; the run could not be trusted any more.
  const uncaught = (error: unknown): void => {
    out.failed(error, { before: 'something that the module has started failed: ', behind: placeOf(error) });
    isDone = true;
    process.exit(exitCodes.failed);
  };
  process.on('uncaughtException', uncaught);
  process.on('exit', (code) => {
    if (isDone) return;
    out.failed(
      new Error(
        'the module ended the process before the command was done, or nothing was left that could go on',
      ),
    );
    if (code === 0) process.exitCode = exitCodes.failed;
  });
  main(words, out).then((code) => {
    isDone = true;
    process.exitCode = code;
    const grace = code === exitCodes.cancelled ? cancelledGraceMs : graceMs;
    setTimeout(() => {
      if (code !== exitCodes.cancelled)
        out.note(`rxhive: the module keeps the process open; ended it ${grace / 1_000} s after all was done`);
      process.exit(code);
    }, grace).unref();
  }, uncaught);
}

const ours = new URL('..', import.meta.url).href;

/** Where in the code of the module an error comes from. */
function placeOf(error: unknown): string {
  const { stack } = (error ?? {}) as { readonly stack?: unknown };
  const frames = typeof stack === 'string' ? stack.split('\n') : [];
  const frame = frames.find((line) => /^ +at /.test(line) && !line.includes('node:') && !line.includes(ours));
  return frame === undefined ? '' : ` (${frame.trim()})`;
}
