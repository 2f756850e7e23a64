import { runOf } from '../adapters/offer.js';
import type { ResolvedRunOptions } from '../model/run-options.js';
import { command } from './command.js';
import { forksOf } from './fork-point.js';
import { interruptible } from './interrupt.js';
import { flag, json } from './option.js';
import { goOn, inputFor, stored, storedOptions, storeWord } from './stored.js';
import { dashboardOptions, watch, watchOptions } from './watch.js';

/** `rxhive resume STORE`: goes on with a run, by default the one that began last; what has finished does not run again. */
export const resume = command({
  name: 'resume',
  help: 'goes on with a run of a store; what has finished does not run again',
  words: [storeWord],
  options: {
    ...storedOptions,
    input: json('input of the workflow; by default the one it began with'),
    'retry-failed': flag('run failed tasks, and what they blocked, again'),
    ...watchOptions,
    ...dashboardOptions,
  },
  does: async ({ words: [at], values, out }) => {
    const { store, runId, source, module } = await stored(at, values);
    const input = inputFor(source, values.input);
    return interruptible(out, ({ signal, drains }) => {
      const options: Omit<ResolvedRunOptions, 'store'> = {
        ...goOn(store, runId, values.dashboard),
        ...input,
        inputOfLog: !('input' in input),
        ...(values['retry-failed'] && { retry: 'failed' }),
        signal,
      };
      const kept = { store, runId };
      const going = runOf(source, options);
      drains(going);
      return watch(going, {
        ...values,
        out,
        signal,
        kept,
        fork: forksOf(source, store, module, (line) => out.note(line)),
      });
    });
  },
});
