import { runOf } from '../adapters/offer.js';
import { command } from './command.js';
import { forksOf } from './fork-point.js';
import { interruptible } from './interrupt.js';
import { load } from './load.js';
import { json, list, text } from './option.js';
import { checkNewStore, checkTag, goOn, inputFor, named, quoted, remember } from './stored.js';
import { dashboardOptions, watch, watchOptions } from './watch.js';
import { WrongCall } from './wrong-call.js';

/** `rxhive run MODULE`: runs a module's default export. */
export const run = command({
  name: 'run',
  help: 'runs the default export of a module: a workflow or an orchestrator',
  words: [{ name: 'MODULE', missing: 'give the module to load, for example: rxhive run flow.js' }],
  options: {
    input: json('input of the workflow'),
    store: text('STORE', 'keep the run in a SQLite file or at a postgres:// address, so that it can go on'),
    tag: list('NAME=VALUE', 'what rxhive runs STORE --tag finds it by; may be given several times'),
    run: text('ID', 'name of the run in the store; that of one that is there goes on with it'),
    ...watchOptions,
    ...dashboardOptions,
  },
  does: async ({ words: [module], values, out }) => {
    const { store } = values;
    if (store === undefined && values.run !== undefined)
      throw new WrongCall('--run names a run of a store; give --store too');
    const tags = tagsOf(values.tag);
    if (store === undefined && tags !== undefined)
      throw new WrongCall('--tag is kept with a run of a store; give --store too');
    if (store !== undefined) checkNewStore(store);
    const found = await load(module);
    const input = inputFor(found, values.input);
    return interruptible(out, async ({ signal, drains }) => {
      const watching = { ...values, out, signal };
      if (store === undefined) {
        const suspend = values.dashboard ? 'wait' : 'end';
        return watch(runOf(found, { ...input, signal, suspend }), watching);
      }
      const runId = values.run ?? `${found.definition().settings.name}-${Date.now().toString(36)}`;
      const going = runOf(found, { ...input, ...tags, ...goOn(store, runId, values.dashboard), signal });
      drains(going);
      await remember(store, runId, module);
      out.note(`run ${quoted(runId)} in ${named(store)}`);
      return watch(going, {
        ...watching,
        kept: { store, runId },
        fork: forksOf(found, store, module, (line) => out.note(line)),
      });
    });
  },
});

/** @throws WrongCall */
function tagsOf(given: readonly string[]): { readonly tags: Readonly<Record<string, string>> } | undefined {
  if (given.length === 0) return undefined;
  const tags = given.map((tag) => {
    checkTag(tag);
    const at = tag.indexOf('=');
    return [tag.slice(0, at), tag.slice(at + 1)] as const;
  });
  return { tags: Object.fromEntries(tags) };
}
