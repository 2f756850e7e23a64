import { closeSync, openSync, readSync, unwatchFile, watchFile } from 'node:fs';
import { Observable } from 'rxjs';
import { serveDashboard } from '../dashboard/server.js';
import { command } from './command.js';
import { aborted, interruptible } from './interrupt.js';
import { reasonOf, wholeNumber } from './option.js';
import { WrongCall } from './wrong-call.js';

/** `rxhive dashboard [LOG]`: shows a log, and goes on while it grows. Ends with Ctrl-C. */
export const dashboard = command({
  name: 'dashboard',
  help: 'shows a log in a browser while it grows, on this machine only; ends with Ctrl-C',
  words: [{ name: 'LOG' }],
  options: { port: wholeNumber('port of the page; by default any free one', 0, 65_535) },
  does: async ({ words: [log], values: { port = 0 }, out }) => {
    const lines$ = log === undefined ? new Observable<string>() : growing(log);
    const served = await serveDashboard({ lines$ }, { port });
    out.print(`${log ?? 'Drop a log on the page'}: ${served.url}\n`);
    return interruptible(out, async ({ signal }) => {
      await aborted(signal);
      await served.close();
      return 0;
    });
  },
});

/** Lines of a file, and those that are added later. */
function growing(file: string): Observable<string> {
  let handle: number;
  try {
    handle = openSync(file, 'r');
  } catch (error) {
    throw new WrongCall(`cannot read ${file}: ${reasonOf(error)}`);
  }
  return new Observable<string>((subscriber) => {
    const chunk = Buffer.alloc(65_536);
    let rest = Buffer.alloc(0);
    const read = (): void => {
      for (let n = readSync(handle, chunk); n > 0; n = readSync(handle, chunk)) {
        rest = Buffer.concat([rest, chunk.subarray(0, n)]);
        for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
          const line = rest.subarray(0, end).toString('utf8').trim();
          rest = rest.subarray(end + 1);
          if (line !== '') subscriber.next(line);
        }
      }
    };
    read();
    watchFile(file, { interval: 250 }, read);
    return () => {
      unwatchFile(file, read);
      closeSync(handle);
    };
  });
}
