import { existsSync } from 'node:fs';
import { graphSvg, graphSvgOf } from '../dashboard/graph-svg.js';
import { RunView } from '../dashboard/view-model.js';
import { toDot, toMermaid } from '../observe/export.js';
import { type Command, parse } from './command.js';
import { load } from './load.js';
import { readLog, viewOf } from './read-log.js';
import { WrongCall } from './wrong-call.js';

/** `rxhive graph MODULE|LOG.jsonl [--format mermaid|dot|svg]` */
export const graph: Command = async (words) => {
  const { values, positionals } = parse({
    args: [...words],
    allowPositionals: true,
    options: { format: { type: 'string', default: 'mermaid' } },
  });
  const { format } = values;
  if (format !== 'mermaid' && format !== 'dot' && format !== 'svg')
    throw new WrongCall(`unknown format ${format}; use mermaid, dot or svg`);
  const source = await sourceOf(positionals[0]);
  if (format === 'svg')
    process.stdout.write(source instanceof RunView ? await graphSvgOf(source) : await graphSvg(source));
  else if (!(source instanceof RunView)) process.stdout.write(source.graph(format));
  else process.stdout.write((format === 'dot' ? toDot : toMermaid)(source.list()));
  return 0;
};

/** A module, or the run a log tells of. */
async function sourceOf(file: string | undefined): Promise<Awaited<ReturnType<typeof load>> | RunView> {
  if (file !== undefined && /\.(jsonl|log|ndjson)$/.test(file) && existsSync(file))
    return viewOf(readLog(file).events);
  return load(file);
}
