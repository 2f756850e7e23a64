import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { inspect } from '../kernel/errors.js';
import type { CheckpointStore } from '../model/store.js';
import { storeAt } from '../stores/at-path.js';
import { short } from '../views/text.js';
import { isWorkflow, load, type Runnable } from './load.js';
import { text } from './option.js';
import { WrongCall } from './wrong-call.js';

/** Options of every command that goes on with a run that is in a store. */
export const storedOptions = {
  run: text('ID', 'which run of the store; by default the one that began last'),
  module: text('MODULE', 'the module of the run; by default the one it was started with'),
};

/** The word for the store of such a command. */
export const storeWord = {
  name: 'STORE',
  missing: 'give the store that rxhive run MODULE --store has written',
} as const;

/** A run that a store has, and what it is a run of. */
export interface Stored {
  /** Path of a SQLite file, or address of a PostgreSQL database. */
  readonly store: string;
  readonly runId: string;
  readonly module: string;
  readonly source: Runnable;
}

const keyOf = (runId: string): string => `module of ${runId}`;

/** Keeps the module of a run in its store, so that later commands need the store alone. */
export async function remember(store: string, runId: string, module: string): Promise<void> {
  await storeAt(store).put(keyOf(runId), resolve(module), runId);
}

/**
 * The run named, or the one that began last, with its module. @throws WrongCall where there is no such store, run or module
 */
export async function stored(
  store: string,
  values: { readonly run?: string | undefined; readonly module?: string | undefined },
): Promise<Stored> {
  const at = existing(store);
  const runId = values.run ?? (await newest(at, 1))[0];
  if (runId === undefined) throw new WrongCall('there is no run in the store');
  if (values.run !== undefined && (await at.read(runId)).length === 0) {
    const some = (await newest(at, 5)).map(inspect);
    throw new WrongCall(`there is no run ${inspect(runId)} in the store; the newest are ${some.join(', ')}`);
  }
  const module = values.module ?? (await at.get(keyOf(runId)));
  if (module === undefined)
    throw new WrongCall(`the store does not say what ${inspect(runId)} is a run of; give --module`);
  return { store, runId, module, source: await load(module) };
}

/** A store that is there. @throws WrongCall where there is none */
export function existing(store: string): CheckpointStore {
  checkFile(store);
  return storeAt(store);
}

async function newest(at: CheckpointStore, limit: number): Promise<readonly string[]> {
  return (await at.runs({ limit })).map(({ runId }) => runId);
}

/** An id for a fork that no run of the store has. */
export async function freeId(store: string, from: string): Promise<string> {
  const at = storeAt(store);
  for (let n = 1; ; n += 1) {
    const id = `${from}-fork-${n}`;
    // Most have a module, which is less to read than a log.
    if ((await at.get(keyOf(id))) === undefined && (await at.read(id)).length === 0) return id;
  }
}

/** Is it the address of a database, or the file of one? */
export function isStore(file: string): boolean {
  return file.includes('://') || (existsSync(file) && statSync(file).isFile() && isSqlite(file));
}

/** Can there be a store, new or old? @throws WrongCall */
export function checkNewStore(store: string): void {
  if (store.includes('://')) return;
  if (!existsSync(dirname(store))) throw new WrongCall(`--store ${store}: there is no such folder`);
  if (existsSync(store) && statSync(store).isDirectory())
    throw new WrongCall(`--store ${store}: it is a folder; give the path of a file`);
}

/** @throws WrongCall */
export function checkTag(tag: string): void {
  if (!tag.includes('='))
    throw new WrongCall(`--tag ${tag}: give a name and a value, for example --tag tenant=acme`);
}

/** A path that is no store would become a new, empty one. */
function checkFile(store: string): void {
  if (store.includes('://')) return;
  if (!existsSync(store)) throw new WrongCall(`there is no ${store}`);
  if (statSync(store).isDirectory()) throw new WrongCall(`${store} is a folder; give the path of a store`);
  if (!isSqlite(store))
    throw new WrongCall(
      `${store} is no store of checkpoints; rxhive run MODULE --store FILE keeps one (--log keeps what happened)`,
    );
}

function isSqlite(path: string): boolean {
  const head = Buffer.alloc(15);
  const file = openSync(path, 'r');
  readSync(file, head, 0, 15, 0);
  closeSync(file);
  return head.toString('latin1') === 'SQLite format 3';
}

/** How a command runs something with a store: what waits for people alone ends the process, unless they can answer in it. */
export function goOn(
  store: string,
  runId: string,
  dashboard: boolean,
): { store: string; runId: string; suspend: 'wait' | 'exit' } {
  return { store, runId, suspend: dashboard ? 'wait' : 'exit' };
}

/** An input for a run. @throws WrongCall for an orchestrator, which has none */
export function inputFor(
  source: Runnable,
  input: { readonly value: unknown } | undefined,
): { readonly input?: unknown } {
  if (input === undefined) return {};
  if (!isWorkflow(source)) throw new WrongCall('--input is for workflows; an orchestrator has no input');
  return { input: input.value };
}

/** A store in a line for people; an address may hold a password. */
export function named(store: string): string {
  return store.includes('://') ? 'STORE' : quoted(store);
}

/** A word for the shell. */
export function quoted(word: string): string {
  const shown = short(word, 300);
  return /^[\w./:@-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`;
}
