import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { WorkflowOrchestrator } from '../orchestrator.js';
import { Workflow } from '../workflow.js';
import { WrongCall } from './wrong-call.js';

/** The default export of a module: a workflow or an orchestrator. @throws WrongCall */
export async function load(
  module: string | undefined,
): Promise<Workflow | WorkflowOrchestrator<Record<string, never>>> {
  if (module === undefined) throw new WrongCall('give the module to load, for example: rxhive run flow.js');
  const loaded: { default?: unknown } = await import(pathToFileURL(resolve(module)).href).catch(
    (error: Error) => {
      throw new WrongCall(`cannot load ${module}: ${error.message.split('\n')[0]}`);
    },
  );
  // A CommonJS module made from an ES module has its default export one level down.
  const outer = loaded.default as { readonly default?: unknown } | undefined;
  const found = outer?.default ?? outer;
  if (found instanceof Workflow || found instanceof WorkflowOrchestrator) return found;
  throw new WrongCall(`${module} has no default export that is a workflow or an orchestrator`);
}
