import { traceOf } from '../dashboard/chrome-trace.js';
import { markdownOf } from '../dashboard/markdown.js';
import { htmlReport } from '../dashboard/report-file.js';
import { toMarbles } from '../testing/to-marbles.js';
import { type Command, parse } from './command.js';
import { readLog, viewOf, write } from './read-log.js';
import { WrongCall } from './wrong-call.js';

/**
 * `rxhive report LOG [--html FILE [--compare LOG]] [--trace FILE] [--markdown FILE] [--marbles FILE]`: the page with a
 * run in it as one file, a trace for Perfetto, a summary to read, a marble test that plays the run again.
 */
export const report: Command = async (words) => {
  const { values, positionals } = parse({
    args: [...words],
    allowPositionals: true,
    options: {
      html: { type: 'string' },
      compare: { type: 'string' },
      trace: { type: 'string' },
      markdown: { type: 'string' },
      marbles: { type: 'string' },
    },
  });
  const [file] = positionals;
  const { html, compare, trace, markdown, marbles } = values;
  if (file === undefined)
    throw new WrongCall('give the log to read, for example: rxhive report run.jsonl --html run.html');
  const files = [html, trace, markdown, marbles].filter((name) => name !== undefined);
  if (files.length === 0)
    throw new WrongCall(
      'give the file to write, for example: --html run.html, --trace run.json, --markdown run.md, --marbles run.spec.ts',
    );
  if (compare !== undefined && html === undefined) throw new WrongCall('--compare needs --html FILE');
  const { text, events } = readLog(file);
  if (html !== undefined) write(html, htmlReport(text, compare === undefined ? '' : readLog(compare).text));
  const view = viewOf(events);
  if (trace !== undefined) write(trace, traceOf(view));
  if (markdown !== undefined) write(markdown, markdownOf(view));
  if (marbles !== undefined) write(marbles, toMarbles(events));
  for (const written of files) console.log(written);
  return 0;
};
