import { short } from '../views/text.js';
import { changesOf } from './changes.js';
import { command } from './command.js';
import { forksOf } from './fork-point.js';
import { interruptible } from './interrupt.js';
import { isWorkflow } from './load.js';
import { json, list, text, wholeNumber } from './option.js';
import { freeId, goOn, inputFor, quoted, remember, stored, storedOptions, storeWord } from './stored.js';
import { dashboardOptions, watch, watchOptions } from './watch.js';
import { WrongCall } from './wrong-call.js';

/** `rxhive fork STORE`: a new run that begins after a record of another one, with another state, input or limit. */
export const fork = command({
  name: 'fork',
  help: 'starts a new run from a record of another one, with another state, input or limit',
  words: [storeWord],
  options: {
    ...storedOptions,
    at: wholeNumber('number of the record it begins after; by default the newest', 1),
    as: text('ID', 'name of the new run'),
    state: json('state in place of the one at that record'),
    input: json('input in place of the one it began with'),
    set: list('LIMIT', 'concurrency=N or GROUP.concurrency=N; may be given several times'),
    ...watchOptions,
    ...dashboardOptions,
  },
  does: async ({ words: [at], values, out }) => {
    const { store, runId: from, module, source } = await stored(at, values);
    if (!isWorkflow(source))
      throw new WrongCall('only runs of workflows can be forked, not of orchestrators');
    const { concurrency, limits, priorities } = changesOf(values.set);
    const [priority] = Object.keys(priorities ?? {});
    if (priority !== undefined)
      throw new WrongCall(`--set ${priority}.priority: a fork can have other limits only`);
    const { last } = await source.history(store, from);
    if (values.at !== undefined && values.at > last)
      throw new WrongCall(`--at ${values.at}: run ${short(from, 60)} has records 1 to ${last}`);
    const runId = values.as ?? (await freeId(at, from));
    return interruptible(out, async ({ signal }) => {
      const run = source.fork(store, from, {
        ...goOn(store, runId, values.dashboard),
        signal,
        ...(values.at !== undefined && { at: values.at }),
        ...(values.state !== undefined && { state: values.state.value }),
        ...inputFor(source, values.input),
        ...(concurrency !== undefined && { concurrency }),
        groups: Object.fromEntries(
          Object.entries(limits ?? {}).map(([name, n]) => [name, { concurrency: n }]),
        ),
      });
      await remember(store, runId, module);
      out.note(`run ${quoted(runId)}, a fork of ${quoted(from)}`);
      const kept = { store, runId };
      return watch(run, {
        ...values,
        out,
        signal,
        kept,
        fork: forksOf(source, store, module, (line) => out.note(line)),
      });
    });
  },
});
