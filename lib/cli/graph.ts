import { graphSvg, graphSvgOf } from '../dashboard/graph-svg.js';
import { RunView } from '../dashboard/view-model.js';
import { toDot, toMermaid } from '../observe/export.js';
import { command } from './command.js';
import { load, type Runnable } from './load.js';
import { oneOf } from './option.js';
import { readLog, viewOf } from './read-log.js';

/** `rxhive graph MODULE|LOG.jsonl` */
export const graph = command({
  name: 'graph',
  help: 'prints the graph of a module, or of the run a log (.jsonl, .ndjson, .log) tells of',
  words: [{ name: 'MODULE|LOG', missing: 'give a module or a log, for example: rxhive graph flow.js' }],
  options: { format: oneOf(['mermaid', 'dot', 'svg'], 'how it is drawn; by default mermaid') },
  does: async ({ words: [file], values: { format }, out }) => {
    const source = await sourceOf(file);
    if (format === 'svg')
      out.print(source instanceof RunView ? await graphSvgOf(source) : await graphSvg(source));
    else if (!(source instanceof RunView)) out.print(source.graph(format));
    else out.print((format === 'dot' ? toDot : toMermaid)(source.list()));
    return 0;
  },
});

/** A module, or the run a log tells of. */
async function sourceOf(file: string): Promise<Runnable | RunView> {
  return /\.(jsonl|log|ndjson)$/.test(file) ? viewOf(readLog(file).events) : load(file);
}
