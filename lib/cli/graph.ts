import { toDot, toMermaid } from '../observe/export.js';
import { graphSvg, graphSvgOf } from '../views/graph-svg.js';
import type { RunView } from '../views/run-view.js';
import { command } from './command.js';
import { load, type Runnable } from './load.js';
import { oneOf } from './option.js';
import { fromLog, viewOf } from './read-log.js';

/** `rxhive graph MODULE|LOG.jsonl` */
export const graph = command({
  name: 'graph',
  help: 'prints the graph of a module, or of the run in a log (.jsonl, .ndjson, .log)',
  words: [{ name: 'MODULE|LOG', missing: 'give a module or a log, for example: rxhive graph flow.js' }],
  options: { format: oneOf(['mermaid', 'dot', 'svg'], 'how it is drawn; by default mermaid') },
  does: async ({ words: [file], values: { format }, out }) => {
    const text = /\.(jsonl|log|ndjson)$/.test(file)
      ? await fromLog(file, ({ events }) => recorded(viewOf(events), format))
      : await defined(await load(file), format);
    out.print(text);
    return 0;
  },
});

type Format = 'mermaid' | 'dot' | 'svg';

async function recorded(view: RunView, format: Format): Promise<string> {
  if (format === 'svg') return graphSvgOf(view);
  return (format === 'dot' ? toDot : toMermaid)(view.list().map(({ plan }) => plan));
}

async function defined(source: Runnable, format: Format): Promise<string> {
  return format === 'svg' ? graphSvg(source) : source.graph(format);
}
