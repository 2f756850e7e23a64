#!/usr/bin/env node
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { WorkflowOrchestrator } from '../orchestrator.js';
import { Workflow } from '../workflow.js';

const usage = `rxhive run MODULE [--json]                    run a module's default export: a workflow or an orchestrator
rxhive graph MODULE [--format mermaid|dot]    print its graph`;

/** A wrong call: one line on stderr, exit code 2. */
class WrongCall extends Error {}

async function load(
  module: string | undefined,
): Promise<Workflow | WorkflowOrchestrator<Record<string, never>>> {
  if (module === undefined) throw new WrongCall('give the module to load, for example: rxhive run flow.js');
  const loaded: { default?: unknown } = await import(pathToFileURL(resolve(module)).href).catch(
    (error: Error) => {
      throw new WrongCall(`cannot load ${module}: ${error.message.split('\n')[0]}`);
    },
  );
  const found = loaded.default;
  if (found instanceof Workflow || found instanceof WorkflowOrchestrator) return found;
  throw new WrongCall(`${module} has no default export that is a workflow or an orchestrator`);
}

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
  const found = await load(module);
  const result = await (found instanceof Workflow ? found.run().result() : found.executeWorkflow());
  if (values.json === true)
    console.log(
      JSON.stringify({
        status: result.status,
        tasks: [...result.tasks.values()],
        wallMs: result.report.wallMs,
      }),
    );
  else console.log(String(result.report));
  return result.status === 'succeeded' ? 0 : 1;
}

function parse(): { values: { help?: boolean; json?: boolean; format: string }; positionals: string[] } {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        json: { type: 'boolean' },
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
