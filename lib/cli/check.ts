import { checkWorkflow } from '../plan/check.js';
import { type Command, parse } from './command.js';
import { load } from './load.js';

/** `rxhive check MODULE [--json]`; 0 when there is nothing to say, else 1. */
export const check: Command = async (words) => {
  const { values, positionals } = parse({
    args: [...words],
    allowPositionals: true,
    options: { json: { type: 'boolean' } },
  });
  const findings = checkWorkflow(await load(positionals[0]));
  if (values.json === true) console.log(JSON.stringify({ findings }));
  else for (const { kind, message } of findings) console.log(`${kind}: ${message}`);
  return findings.length === 0 ? 0 : 1;
};
