import { randomUUID } from 'node:crypto';
import pg from 'pg';

/** Where specs look for a PostgreSQL server that lets them make schemas. */
const address = process.env.RXHIVE_POSTGRES ?? 'postgres://postgres@127.0.0.1:5432/postgres';

/** A server for specs. */
export interface TestServer {
  readonly url: string;
  readonly pool: pg.Pool;
  /** Name of a schema that is gone when the spec ends. */
  schema(): string;
  end(): Promise<void>;
}

/** The server; undefined, and a line that says so, where there is none and none was asked for. */
export async function testServer(): Promise<TestServer | undefined> {
  const pool = new pg.Pool({ connectionString: address, connectionTimeoutMillis: 3_000, max: 4 });
  pool.on('error', () => undefined);
  try {
    await pool.query('select 1');
  } catch (error) {
    await pool.end();
    const { host } = new URL(address);
    if (process.env.RXHIVE_POSTGRES !== undefined)
      throw new Error(`no PostgreSQL at ${host}, which RXHIVE_POSTGRES names`, { cause: error });
    console.log(`skipped: no PostgreSQL at ${host}; start one, or set RXHIVE_POSTGRES`);
    return undefined;
  }
  const schemas: string[] = [];
  return {
    url: address,
    pool,
    schema: () => {
      const name = `rxhive_spec_${randomUUID().slice(0, 8)}`;
      schemas.push(name);
      return name;
    },
    end: async () => {
      for (const name of schemas) await pool.query(`drop schema if exists ${name} cascade`);
      await pool.end();
    },
  };
}

/**
 * Addresses of the server for a role that has to give a password, which is `right`; undefined, and a line that says so, where
 * the server asks nobody for one (.ci/postgres does).
 */
export async function passwordAddress(pool: pg.Pool): Promise<((password: string) => string) | undefined> {
  const role = 'rxhive_password';
  const { rows } = await pool.query(
    "select 1 from pg_hba_file_rules where $1 = any(user_name) and auth_method = 'scram-sha-256'",
    [role],
  );
  if (rows.length === 0) {
    console.log(`skipped: PostgreSQL asks role ${role} for no password`);
    return undefined;
  }
  // Specs that run beside each other make it once.
  await pool.query(`do $$ begin create role ${role} login password 'right';
    exception when duplicate_object or unique_violation then null; end $$`);
  return (password) => Object.assign(new URL(address), { username: role, password }).href;
}
