import { statSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What is kept of a connection: something that can be closed, and the statements that keep its file open. */
export interface Parkable {
  readonly statements: ReadonlyMap<string, object>;
  close(): void;
}

/** Files with a connection that waits for its next user. */
const most = 4;
/** Closed connections whose statements were not collected, before the garbage collector is asked to run. */
const mostLeft = 16;

/** By file; the oldest one first. While it is there, no other file can have its number. */
const parked = new Map<string, { readonly connection: Parkable; readonly version: string }>();
let left = 0;
let collect: (() => void) | undefined;

const collected = new FinalizationRegistry<{ statements: number }>((connection) => {
  connection.statements -= 1;
  if (connection.statements === 0) left -= 1;
});

/**
 * Keeps a connection of libsql for the next one who opens its file. libsql has no way to end statements, and holds the file open until
 * they are collected, closed or not: a process that opens one store after the other would run out of file handles.
 */
export function park(file: string, connection: Parkable): void {
  const found = statusOf(file);
  if (found === undefined || parked.has(found.id)) {
    discard(connection);
    return;
  }
  parked.set(found.id, { connection, version: found.version });
  const [oldest] = parked;
  if (parked.size <= most || oldest === undefined) return;
  parked.delete(oldest[0]);
  discard(oldest[1].connection);
}

/** The connection that was parked for a file; none where the file has changed since. */
export function unpark(file: string): Parkable | undefined {
  const found = statusOf(file);
  const waiting = found && parked.get(found.id);
  if (found === undefined || waiting === undefined) return undefined;
  parked.delete(found.id);
  if (waiting.version === found.version) return waiting.connection;
  // Written by others: what this one remembers of the file may be out of date in a way that SQLite does not see.
  discard(waiting.connection);
  return undefined;
}

function discard(connection: Parkable): void {
  connection.close();
  const statements = [...connection.statements.values()];
  if (statements.length === 0) return;
  left += 1;
  const count = { statements: statements.length };
  for (const statement of statements) collected.register(statement, count);
  if (left % mostLeft !== 0) return;
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
}

/** Which file is at a path, and how it is; undefined where there is none. */
function statusOf(file: string): { readonly id: string; readonly version: string } | undefined {
  const found = statSync(file, { throwIfNoEntry: false });
  return found && { id: `${found.dev}:${found.ino}`, version: `${found.size} ${found.ctimeMs}` };
}
