import { type Command, parse } from './command.js';
import { load } from './load.js';
import { WrongCall } from './wrong-call.js';

/** `rxhive graph MODULE [--format mermaid|dot]` */
export const graph: Command = async (words) => {
  const { values, positionals } = parse({
    args: [...words],
    allowPositionals: true,
    options: { format: { type: 'string', default: 'mermaid' } },
  });
  const { format } = values;
  if (format !== 'mermaid' && format !== 'dot')
    throw new WrongCall(`unknown format ${format}; use mermaid or dot`);
  process.stdout.write((await load(positionals[0])).graph(format));
  return 0;
};
