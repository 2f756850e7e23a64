import { existsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { WorkflowOrchestrator } from '../orchestrator.js';
import type { Workflow } from '../workflow.js';
import { readText } from './option.js';
import { codeOf, firstLine } from './output.js';
import { WrongCall } from './wrong-call.js';

type Orchestrator = WorkflowOrchestrator<Record<string, never>>;

/** What a module can export for a command. */
export type Runnable = Workflow | Orchestrator;

/** The default export of a module: a workflow or an orchestrator. @throws WrongCall */
export async function load(module: string): Promise<Runnable> {
  const all = await exportsOf(module);
  if (isRunnable(all.default)) return all.default;
  const others = Object.keys(all).filter((name) => name !== 'default' && isRunnable(all[name]));
  const advice =
    others.length === 0 ? '' : `; it exports ${others.join(', ')}: add export default ${others[0]}`;
  throw new WrongCall(`${module} has no default export that is a workflow or an orchestrator${advice}`);
}

/** All exports of a module that are workflows or orchestrators, by name. @throws WrongCall when there is none */
export async function loadAll(module: string): Promise<ReadonlyMap<string, Runnable>> {
  const all = Object.entries(await exportsOf(module));
  const found = all.filter((one): one is [string, Runnable] => isRunnable(one[1]));
  // One that is exported twice is one.
  const known = new Set<Runnable>();
  const once = found.filter(([, one]) => !known.has(one) && known.add(one));
  if (once.length > 0) return new Map(once);
  throw new WrongCall(`${module} exports no workflow and no orchestrator`);
}

/** By what it can do: the module may have loaded another copy of this package. */
export function isRunnable(one: unknown): one is Runnable {
  if (typeof one !== 'object' || one === null) return false;
  const { definition, run, executeWorkflow } = one as Partial<Workflow & Orchestrator>;
  return (
    typeof definition === 'function' && (typeof run === 'function' || typeof executeWorkflow === 'function')
  );
}

/** Is it a workflow, which can be forked and has an input, and no orchestrator? */
export function isWorkflow(one: Runnable): one is Workflow {
  return 'run' in one && 'fork' in one;
}

/** All exports of a module. @throws WrongCall */
export async function exportsOf(module: string): Promise<Readonly<Record<string, unknown>>> {
  const path = resolve(module);
  const fail = (why: string): never => {
    throw new WrongCall(`cannot load ${module}: ${why}`);
  };
  if (!existsSync(path)) fail('there is no such file');
  if (statSync(path).isDirectory()) fail('it is a folder; give the file of a module');
  const { href } = pathToFileURL(path);
  const loaded = await import(href)
    .catch((error: unknown) => {
      if (!isTypeScriptRefused(error)) throw error;
      return byTsx(path, href);
    })
    .catch((error: unknown) =>
      fail(codeOf(error) === 'WORKFLOW_DEFINITION' ? (error as Error).message : firstLine(error)),
    );
  return unwrapped(loaded as Record<string, unknown>);
}

/**
 * A CommonJS module made from an ES module has its default export one level down, and loaders that make ES modules of
 * those again put it two levels down.
 */
function unwrapped(loaded: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  let inner: unknown = loaded.default;
  for (let level = 0; level < 3 && !isRunnable(inner); level += 1) {
    if (typeof inner !== 'object' || inner === null || !('default' in inner)) break;
    inner = inner.default;
  }
  return { ...loaded, default: inner };
}

/** Could this version of Node not read TypeScript, or not all of it? */
function isTypeScriptRefused(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { readonly code?: unknown; readonly message?: unknown };
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') return true;
  return code === 'ERR_UNKNOWN_FILE_EXTENSION' && /"\.[cm]?tsx?"/.test(String(message));
}

/** What is read of its package.json: an installed one cannot be imported by name from here. */
interface TsxPackage {
  readonly exports: { readonly './esm/api': { readonly import: { readonly default: string } } };
}

/** Loads TypeScript with the tsx that the project of the module has installed. */
async function byTsx(path: string, href: string): Promise<unknown> {
  let found: string;
  try {
    found = createRequire(path).resolve('tsx/package.json');
  } catch {
    throw new Error(
      `Node ${process.versions.node} does not read this TypeScript; install tsx (npm i -D tsx), which is used then, or give JavaScript`,
    );
  }
  const { exports } = JSON.parse(readText(found)) as TsxPackage;
  const api = pathToFileURL(resolve(dirname(found), exports['./esm/api'].import.default));
  const { tsImport } = (await import(api.href)) as {
    tsImport(specifier: string, parent: string): Promise<unknown>;
  };
  return tsImport(href, href);
}
