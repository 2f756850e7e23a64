import { closeSync, openSync, writeSync } from 'node:fs';
import type { Observable } from 'rxjs';
import { reasonOf } from './option.js';
import { WrongCall } from './wrong-call.js';

/** Characters that are written at once. */
const most = 65_536;

/**
 * Keeps lines in a file. They are written together when the turn of the event loop ends, or 64 K characters are there, and
 * when the process exits or an error ends it; who is killed loses those of one turn.
 * @throws WrongCall when the file cannot be written
 */
export function keepLines(lines$: Observable<string>, file: string): void {
  const log = opened(file);
  let waiting: string[] = [];
  let size = 0;
  const write = (): void => {
    if (size === 0) return;
    waiting.push(''); // a line break behind the last one, too
    const text = waiting.join('\n');
    waiting = [];
    size = 0;
    writeSync(log, text);
  };
  const end = (): void => {
    process.off('exit', write);
    write();
    closeSync(log);
  };
  process.once('exit', write);
  lines$.subscribe({
    next: (line) => {
      if (size === 0) setImmediate(write);
      waiting.push(line);
      size += line.length + 1;
      if (size >= most) write();
    },
    error: end, // the run says it, too
    complete: end,
  });
}

function opened(file: string): number {
  try {
    return openSync(file, 'w', 0o600);
  } catch (error) {
    throw new WrongCall(`cannot write ${file}: ${reasonOf(error, 'write')}`);
  }
}
