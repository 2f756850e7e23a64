import { runOf } from '../adapters/offer.js';
import { type Command, parse } from './command.js';
import { forksOf } from './fork-point.js';
import { load } from './load.js';
import { goOn, remember } from './stored.js';
import { watch, watchOptions } from './watch.js';
import { WrongCall } from './wrong-call.js';

/**
 * `rxhive run MODULE [--log FILE] [--store STORE [--run ID]] [--dashboard [--port N]] [--quiet] [--json]`; 0 when all
 * succeeded, else 1.
 */
export const run: Command = async (words) => {
  const { values, positionals } = parse({
    args: [...words],
    allowPositionals: true,
    options: { ...watchOptions, store: { type: 'string' }, run: { type: 'string' } },
  });
  const [module] = positionals;
  const found = await load(module);
  if (values.store === undefined) {
    if (values.run !== undefined) throw new WrongCall('--run names a run of a store; give --store too');
    return watch(runOf(found, {}), values);
  }
  if (values.run?.trim() === '') throw new WrongCall('--run is empty; give the id of the run');
  const runId = values.run ?? `${found.definition().settings.name}-${Date.now().toString(36)}`;
  await remember(values.store, runId, module as string);
  console.error(`run ${runId} in ${named(values.store)}`);
  const run = runOf(found, goOn(values.store, runId, values.dashboard));
  return watch(run, { ...values, fork: forksOf(found, values.store, module as string) });
};

/** An address may hold a password. */
function named(store: string): string {
  return store.includes('://') ? new URL(store).protocol.replace(':', '') : store;
}
