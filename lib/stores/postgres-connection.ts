import { CheckpointCorruptError, inspect, RxhiveError } from '../kernel/errors.js';
import { peer } from '../kernel/peer.js';
import { secretsIn } from '../kernel/secret-texts.js';
import { isPostgresLost, postgresReason } from '../model/postgres-failure.js';
import { storeFailed } from '../model/store-failure.js';

/** The part of `Pool` of package `pg` that is used. */
export interface PostgresPool {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: Record<string, unknown>[] }>;
}

interface OwnPool extends PostgresPool {
  on(event: 'error', listener: (error: unknown) => void): unknown;
  end(): Promise<void>;
}

/** What a {@link Connection} is for. */
interface Purpose {
  /** What users call. */
  readonly maker: string;
  /** Ms to wait before each try after a lost connection. */
  readonly pauses: readonly number[];
}

/** Long enough for a server that restarts, short for a lease. */
const forStores: Purpose = { maker: 'postgres()', pauses: [50, 200, 800, 2_000, 4_000] };
/** What data of the server is damaged: a page, an index, a file that is missing. */
const damage = /^(XX001|XX002|58P01)$/;

/** A pool whose statements, all of which may be repeated, are repeated when a connection is lost. */
export class Connection {
  readonly #text: string | undefined;
  readonly #pool: PostgresPool | undefined;
  #own: Promise<OwnPool> | undefined;
  /** The server has answered once: a refused connection is a restart, not a wrong address. */
  #reached = false;
  #closed = false;
  readonly #dropped: () => void;
  readonly #purpose: Purpose;

  /** `dropped` is called when a table or schema is not there any more. @throws RxhiveError INVALID_OPTION */
  constructor(connection: string | PostgresPool, dropped: () => void, purpose = forStores) {
    this.#dropped = dropped;
    this.#purpose = purpose;
    if (typeof connection === 'string' && /^postgres(ql)?:\/\//.test(connection)) this.#text = connection;
    else if (typeof (connection as PostgresPool | undefined)?.query === 'function')
      this.#pool = connection as PostgresPool;
    else {
      // Not shown: it may be a connection string with a password.
      const message = `${purpose.maker} takes a connection string, postgres://user@host/database, or a Pool of package pg.`;
      throw new RxhiveError('INVALID_OPTION', message);
    }
  }

  /** Rows of one statement. @throws RxhiveError STORE_FAILED; CheckpointCorruptError for damage the server finds */
  async query(text: string, values?: unknown[]): Promise<Record<string, unknown>[]> {
    for (let tries = 0; ; tries++) {
      try {
        const pool = await this.#connect();
        const { rows } = await (values === undefined ? pool.query(text) : pool.query(text, values));
        this.#reached = true;
        return rows;
      } catch (error) {
        if (error instanceof RxhiveError) throw error;
        const pause = this.#purpose.pauses[tries];
        if (pause === undefined || this.#closed || !this.#reached || !isPostgresLost(error))
          throw this.#named(error);
        await new Promise((done) => setTimeout(done, pause));
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const own = this.#own;
    this.#own = undefined;
    await (await own)?.end();
  }

  #connect(): PostgresPool | Promise<PostgresPool> {
    if (this.#closed) throw storeFailed('The PostgreSQL store', 'closed', 'it is not open');
    if (this.#pool !== undefined) return this.#pool;
    this.#own ??= makePool(this.#text as string, this.#purpose.maker).catch((error: unknown) => {
      this.#own = undefined;
      throw error;
    });
    return this.#own;
  }

  /** What pg says, without what could hold a secret: no cause, no detail, no password. */
  #named(error: unknown): RxhiveError {
    const { code, errors } = (error ?? {}) as { code?: unknown; errors?: unknown[] };
    const first = (Array.isArray(errors) ? errors[0] : error) as { message?: unknown } | undefined;
    const said = this.#clean(String(first?.message || code || 'unknown error'));
    if (damage.test(String(code)))
      return new CheckpointCorruptError('', 0, `PostgreSQL cannot read it: ${said}`);
    if (code === '42P01' || code === '3F000') this.#dropped();
    const details = typeof code === 'string' ? { code } : {};
    return storeFailed(
      'The PostgreSQL store',
      this.#closed ? 'closed' : postgresReason(first ?? error),
      said,
      {
        details,
      },
    );
  }

  #clean(text: string): string {
    const secrets = this.#text === undefined ? [] : secretsIn(this.#text);
    return secrets.reduce((clean, one) => clean.replaceAll(one, '***'), text);
  }
}

/** A schema as statements name it. @throws RxhiveError INVALID_OPTION */
export function quotedSchema(schema: unknown): string {
  if (typeof schema === 'string' && schema !== '' && Buffer.byteLength(schema) <= 63)
    return `"${schema.replaceAll('"', '""')}"`;
  throw new RxhiveError('INVALID_OPTION', `schema is ${inspect(schema)}; give a name of 1 to 63 bytes.`);
}

async function makePool(connectionString: string, maker: string): Promise<OwnPool> {
  // Typed here, so that nobody needs the types of pg to use rxhive.
  type Pg = { readonly Pool: new (options: object) => OwnPool };
  const found = await peer<Pg & { readonly default?: Pg }>('pg', maker, 'pg', () => import('pg'));
  const { Pool } = found.default ?? found;
  const pool = new Pool({
    connectionString,
    allowExitOnIdle: true,
    connectionTimeoutMillis: 10_000,
    query_timeout: 60_000,
    keepAlive: true,
    application_name: 'rxhive',
  });
  // An idle connection that breaks must not end the process; the next statement makes another.
  pool.on('error', () => undefined);
  return pool;
}
