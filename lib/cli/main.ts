#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { load } from './load.js';
import { runModule } from './run.js';
import { WrongCall } from './wrong-call.js';

const usage = `rxhive run MODULE [--log FILE] [--json]       run a module's default export: a workflow or an orchestrator
rxhive graph MODULE [--format mermaid|dot]    print its graph`;

async function main(): Promise<number> {
  const { values, positionals } = parse();
  const [command, module] = positionals;
  if (values.help === true) {
    console.log(usage);
    return 0;
  }
  if (command === 'graph') {
    const { format } = values;
    if (format !== 'mermaid' && format !== 'dot')
      throw new WrongCall(`unknown format ${format}; use mermaid or dot`);
    process.stdout.write((await load(module)).graph(format));
    return 0;
  }
  if (command !== 'run')
    throw new WrongCall(
      command === undefined ? 'give a command: run or graph' : `unknown command ${command}; use run or graph`,
    );
  return runModule(module, values);
}

function parse(): {
  values: { help?: boolean; json?: boolean; log?: string; format: string };
  positionals: string[];
} {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        json: { type: 'boolean' },
        log: { type: 'string' },
        format: { type: 'string', default: 'mermaid' },
      },
    });
  } catch (error) {
    throw new WrongCall((error as Error).message);
  }
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: Error) => {
    console.error(`rxhive: ${error.message}`);
    process.exitCode = error instanceof WrongCall ? 2 : 1;
  },
);
