import { readFileSync, writeFileSync } from 'node:fs';
import { htmlReport } from '../dashboard/report-file.js';
import { readEventLog } from '../observe/event-log.js';
import { type Command, parse } from './command.js';
import { WrongCall } from './wrong-call.js';

/** `rxhive report LOG --html FILE [--compare LOG]`: the page with a run in it, as one file. */
export const report: Command = async (words) => {
  const { values, positionals } = parse({
    args: [...words],
    allowPositionals: true,
    options: { html: { type: 'string' }, compare: { type: 'string' } },
  });
  const [log] = positionals;
  const { html, compare } = values;
  if (log === undefined)
    throw new WrongCall('give the log to read, for example: rxhive report run.jsonl --html run.html');
  if (html === undefined) throw new WrongCall('give the file to write, for example: --html run.html');
  const page = htmlReport(readLog(log), compare === undefined ? '' : readLog(compare));
  try {
    writeFileSync(html, page);
  } catch (error) {
    throw new WrongCall(`cannot write ${html}: ${(error as Error).message}`);
  }
  console.log(html);
  return 0;
};

function readLog(file: string): string {
  try {
    const text = readFileSync(file, 'utf8');
    readEventLog(text);
    return text;
  } catch (error) {
    throw new WrongCall(`cannot read ${file}: ${(error as Error).message}`);
  }
}
