import { closeSync, openSync, readSync, unwatchFile, watchFile } from 'node:fs';
import { Observable } from 'rxjs';
import { serveDashboard } from '../dashboard/server.js';
import { type Command, parse } from './command.js';
import { WrongCall } from './wrong-call.js';

/** `rxhive dashboard [LOG] [--port N]`: shows a log, and goes on while it grows. Ends with Ctrl-C. */
export const dashboard: Command = async (words) => {
  const { values, positionals } = parse({
    args: [...words],
    allowPositionals: true,
    options: { port: { type: 'string', default: '0' } },
  });
  const [log] = positionals;
  const lines$ = log === undefined ? new Observable<string>() : growing(log);
  const served = await serveDashboard({ lines$ }, { port: Number(values.port) });
  console.log(`${log ?? 'Drop a log on the page'}: ${served.url}`);
  return new Promise((done) => {
    process.once('SIGINT', () => {
      served.close().then(() => done(0));
    });
  });
};

/** Lines of a file, and those that are added later. */
function growing(file: string): Observable<string> {
  let handle: number;
  try {
    handle = openSync(file, 'r');
  } catch (error) {
    throw new WrongCall(`cannot read ${file}: ${(error as Error).message}`);
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
