import { runOf } from '../adapters/offer.js';
import { type Command, parse } from './command.js';
import { forksOf } from './fork-point.js';
import { goOn, stored, storedOptions } from './stored.js';
import { watch, watchOptions } from './watch.js';

/**
 * `rxhive resume STORE [--run ID] [--module MODULE] [--retry-failed] ...`: goes on with a run, by default the one
 * written last; what has finished does not run again. 0 when all succeeded, else 1.
 */
export const resume: Command = async (words) => {
  const { values, positionals } = parse({
    args: [...words],
    allowPositionals: true,
    options: { ...watchOptions, ...storedOptions, 'retry-failed': { type: 'boolean' } },
  });
  const { store, runId, source, module } = await stored(positionals[0], values);
  const retry = values['retry-failed'] === true ? { retry: 'failed' as const } : {};
  const run = runOf(source, { ...goOn(store, runId, values.dashboard), ...retry });
  return watch(run, { ...values, fork: forksOf(source, store, module) });
};
