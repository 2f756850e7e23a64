import { readFileSync } from 'node:fs';
import { replay as play } from '../replay/replay.js';
import { changesOf } from './changes.js';
import { type Command, parse } from './command.js';
import { WrongCall } from './wrong-call.js';

/** `rxhive replay LOG [--set NAME=VALUE ...] [--json]`: what another limit or priority would have changed. */
export const replay: Command = async (words) => {
  const { values, positionals } = parse({
    args: [...words],
    allowPositionals: true,
    options: { json: { type: 'boolean' }, set: { type: 'string', multiple: true } },
  });
  const [file] = positionals;
  if (file === undefined) throw new WrongCall('give a log that rxhive run --log has written');
  const changes = changesOf(values.set ?? []);
  const text = read(file);
  const { recorded, replayed, unchanged, saved, refused, summary } = await play(text, changes);
  if (values.json === true)
    console.log(JSON.stringify({ recorded, replayed, unchanged, saved, refused, changes, summary }));
  else console.log(summary);
  return 0;
};

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new WrongCall(`cannot read ${file}: ${(error as Error).message}`);
  }
}
