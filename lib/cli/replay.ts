import { readFileSync } from 'node:fs';
import type { Changes } from '../replay/rebuild.js';
import { replay as play } from '../replay/replay.js';
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

/** `concurrency=4`, `GROUP.concurrency=12`, `TASK.priority=5`. */
function changesOf(settings: readonly string[]): Changes {
  let concurrency: number | undefined;
  const limits: Record<string, number> = {};
  const priorities: Record<string, number> = {};
  for (const setting of settings) {
    const [, name, what, text] = /^(?:(.+)\.)?(concurrency|priority)=(.+)$/s.exec(setting) ?? [];
    const value = Number(text);
    const fits =
      what === 'priority'
        ? Number.isFinite(value) && name !== undefined
        : Number.isInteger(value) && value >= 1;
    if (what === undefined || !fits)
      throw new WrongCall(`--set ${setting}: give concurrency=N, GROUP.concurrency=N or TASK.priority=N`);
    if (what === 'priority') priorities[name as string] = value;
    else if (name === undefined) concurrency = value;
    else limits[name] = value;
  }
  return { ...(concurrency !== undefined && { concurrency }), limits, priorities };
}
