import { escapeControl } from '../kernel/escape-control.js';
import { checkWorkflow } from '../plan/check.js';
import { command } from './command.js';
import { exitCodes } from './exit-code.js';
import { load } from './load.js';
import { flag } from './option.js';

/** `rxhive check MODULE`: 0 when there is nothing to say, else 1. */
export const check = command({
  name: 'check',
  help: 'finds faults of a workflow that are knowable before a token is spent; 1 when there are some',
  words: [{ name: 'MODULE', missing: 'give the module to check, for example: rxhive check flow.js' }],
  options: { json: flag('print them as one JSON document') },
  does: async ({ words: [module], out }) => {
    const findings = checkWorkflow(await load(module));
    out.answer(
      () => ({ findings }),
      () => findings.map(({ kind, message }) => escapeControl(`${kind}: ${message}`)).join('\n'),
    );
    return findings.length === 0 ? exitCodes.succeeded : exitCodes.failed;
  },
});
