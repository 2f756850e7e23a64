import { Workflow } from '../workflow.js';
import { changesOf } from './changes.js';
import { type Command, parse } from './command.js';
import { forksOf, freeId } from './fork-point.js';
import { goOn, remember, stored, storedOptions } from './stored.js';
import { watch, watchOptions } from './watch.js';
import { WrongCall } from './wrong-call.js';

/**
 * `rxhive fork STORE [--at SEQ] [--run ID] [--as ID] [--state JSON] [--input JSON] [--set GROUP.concurrency=N] ...`: a new
 * run that begins after a record of another one, with another state, input or limit. 0 when all succeeded, else 1.
 */
export const fork: Command = async (words) => {
  const { values, positionals } = parse({
    args: [...words],
    allowPositionals: true,
    options: {
      ...watchOptions,
      ...storedOptions,
      at: { type: 'string' },
      as: { type: 'string' },
      state: { type: 'string' },
      input: { type: 'string' },
      set: { type: 'string', multiple: true },
    },
  });
  const { store, runId: from, runs, module, source } = await stored(positionals[0], values);
  if (!(source instanceof Workflow))
    throw new WrongCall('only runs of workflows can be forked, not of orchestrators');
  const { concurrency, limits, priorities } = changesOf(values.set ?? []);
  const [priority] = Object.keys(priorities ?? {});
  if (priority !== undefined)
    throw new WrongCall(`--set ${priority}.priority: a fork can have other limits only`);
  const at = values.at === undefined ? undefined : Number(values.at);
  if (at !== undefined && !(Number.isInteger(at) && at >= 1))
    throw new WrongCall(`--at ${values.at}: give the number of a record, from 1`);
  if (values.as?.trim() === '') throw new WrongCall('--as is empty; give the id of the fork');
  const runId = values.as ?? freeId(from, new Set(runs.map((run) => run.runId)));
  const run = source.fork(from, {
    ...goOn(store, runId, values.dashboard),
    ...(at !== undefined && { at }),
    ...json('state', values.state),
    ...json('input', values.input),
    ...(concurrency !== undefined && { concurrency }),
    groups: Object.fromEntries(Object.entries(limits ?? {}).map(([name, n]) => [name, { concurrency: n }])),
  });
  await remember(store, runId, module);
  console.error(`run ${runId}, a fork of ${from}`);
  return watch(run, { ...values, fork: forksOf(source, store, module) });
};

function json<const N extends string>(name: N, text: string | undefined): { [name in N]?: never } {
  if (text === undefined) return {};
  try {
    return { [name]: JSON.parse(text) } as { [name in N]?: never };
  } catch (error) {
    throw new WrongCall(`--${name} is no JSON: ${(error as Error).message}`);
  }
}
