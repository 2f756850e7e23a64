import type { StoreFailure } from './store.js';
import { systemReason } from './store-failure.js';

/** SQLSTATE codes, or their first characters, by what they mean for who uses the server. */
const reasons: [RegExp, StoreFailure][] = [
  // Too many connections, a lock, a deadlock, a serialization failure, a statement that was cancelled, a server that starts.
  [/^(53300|55P03|40001|40P01|57014|57P03)$/, 'busy'],
  [/^(25006|42501)$/, 'read-only'],
  [/^53100$/, 'full'],
  // The connection, the database, a schema, a table.
  [/^(08...|57P0[12]|3D000|3F000|42P01)$/, 'gone'],
];
const messages: [RegExp, StoreFailure][] = [
  [/query read timeout|timeout exceeded when trying to connect/i, 'busy'],
  [/after calling end on the pool|client was closed/i, 'closed'],
  [/connection terminated|connection error/i, 'gone'],
];

/** Why PostgreSQL, or package pg, has failed; undefined where that is not known. */
export function postgresReason(error: unknown): StoreFailure | undefined {
  const { message } = error as { message?: unknown };
  const reason =
    reasons.find(([pattern]) => pattern.test(codeOf(error))) ??
    messages.find(([pattern]) => pattern.test(String(message)));
  if (reason !== undefined) return reason[1];
  return systemReason(error) === 'gone' ? 'gone' : undefined;
}

/** User, password, database, rights, tables: the server does not let us in, or lacks what we need, and waiting does not help. */
export function isPostgresRefusal(error: unknown): boolean {
  return /^(28\w{3}|3D000|3F000|42P01|42501)$/.test(codeOf(error));
}

/** Another try may find a connection. */
export function isPostgresLost(error: unknown): boolean {
  return codeOf(error) === '57P03' || (postgresReason(error) === 'gone' && !isPostgresRefusal(error));
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | undefined)?.code ?? '');
}
