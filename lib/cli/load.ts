import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { WorkflowOrchestrator } from '../orchestrator.js';
import { Workflow } from '../workflow.js';
import { WrongCall } from './wrong-call.js';

/** What a module can export for a command. */
export type Runnable = Workflow | WorkflowOrchestrator<Record<string, never>>;

/** The default export of a module: a workflow or an orchestrator. @throws WrongCall */
export async function load(module: string | undefined): Promise<Runnable> {
  const found = (await exportsOf(module, 'run')).default;
  if (isRunnable(found)) return found;
  throw new WrongCall(`${module} has no default export that is a workflow or an orchestrator`);
}

/** All exports of a module that are workflows or orchestrators, by name. @throws WrongCall when there is none */
export async function loadAll(module: string | undefined): Promise<ReadonlyMap<string, Runnable>> {
  const all = Object.entries(await exportsOf(module, 'mcp'));
  const found = all.filter((one): one is [string, Runnable] => isRunnable(one[1]));
  // One that is exported twice is one.
  const known = new Set<Runnable>();
  const once = found.filter(([, one]) => !known.has(one) && known.add(one));
  if (once.length > 0) return new Map(once);
  throw new WrongCall(`${module} exports no workflow and no orchestrator`);
}

function isRunnable(one: unknown): one is Runnable {
  return one instanceof Workflow || one instanceof WorkflowOrchestrator;
}

async function exportsOf(
  module: string | undefined,
  command: string,
): Promise<Readonly<Record<string, unknown>>> {
  if (module === undefined)
    throw new WrongCall(`give the module to load, for example: rxhive ${command} flow.js`);
  const loaded: { default?: unknown } = await import(pathToFileURL(resolve(module)).href).catch(
    (error: Error) => {
      throw new WrongCall(`cannot load ${module}: ${error.message.split('\n')[0]}`);
    },
  );
  // A CommonJS module made from an ES module has its default export one level down.
  const outer = loaded.default as { readonly default?: unknown } | undefined;
  return { ...loaded, default: outer?.default ?? outer };
}
