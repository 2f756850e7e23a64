import { htmlReport } from '../dashboard/report-file.js';
import { toMarbles } from '../testing/marbles/to-marbles.js';
import { traceOf } from '../views/chrome-trace.js';
import { markdownOf } from '../views/markdown.js';
import { command } from './command.js';
import { text } from './option.js';
import { fromLog, viewOf, write } from './read-log.js';
import { WrongCall } from './wrong-call.js';

/** `rxhive report LOG`: a run as files to look at. */
export const report = command({
  name: 'report',
  help: 'makes files of a log: a page, a trace, a summary, a test',
  words: [
    { name: 'LOG', missing: 'give the log to read, for example: rxhive report run.jsonl --html run.html' },
  ],
  options: {
    html: text('FILE', 'the page with the run in it, as one file'),
    compare: text('LOG', 'another run for the page, to see both side by side'),
    trace: text('FILE', 'a trace for Perfetto'),
    markdown: text('FILE', 'a summary to read'),
    marbles: text('FILE', 'a marble test that plays the run again'),
  },
  does: async ({ words: [file], values: { html, compare, trace, markdown, marbles }, out }) => {
    const files = [html, trace, markdown, marbles].filter((name) => name !== undefined);
    if (files.length === 0)
      throw new WrongCall(
        'give the file to write, for example: --html run.html, --trace run.json, --markdown run.md, --marbles run.spec.ts',
      );
    if (compare !== undefined && html === undefined) throw new WrongCall('--compare needs --html FILE');
    await fromLog(file, async ({ text, events }) => {
      const other = compare === undefined ? '' : await fromLog(compare, (log) => log.text);
      if (html !== undefined) write(html, htmlReport(text, other));
      const view = viewOf(events);
      if (trace !== undefined) write(trace, traceOf(view));
      if (markdown !== undefined) write(markdown, markdownOf(view));
      if (marbles !== undefined) write(marbles, toMarbles(events));
    });
    for (const written of files) out.print(`${written}\n`);
    return 0;
  },
});
