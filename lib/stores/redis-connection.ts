import { createHash } from 'node:crypto';
import { RxhiveError } from '../kernel/errors.js';
import { peer } from '../kernel/peer.js';
import { secretsIn } from '../kernel/secret-texts.js';

/** The part of a client of package `ioredis` that is used. */
export interface RedisClient {
  evalsha(sha: string, keys: number, ...rest: string[]): Promise<unknown>;
  eval(script: string, keys: number, ...rest: string[]): Promise<unknown>;
  info(section: string): Promise<string>;
}

/** Where Redis is: the options of `ioredis` that say so. */
export interface RedisAddress {
  readonly host?: string;
  /** Default 6379. */
  readonly port?: number;
  readonly path?: string;
  readonly username?: string;
  readonly password?: string;
  /** Default 0. */
  readonly db?: number;
  /** Options of `tls.connect`; `{}` for none. */
  readonly tls?: object;
}

/** A URL, `redis://host:6379` or `rediss://...`, options of `ioredis`, or a client of it, which is left open. */
export type RedisConnection = string | RedisAddress | RedisClient;

interface OwnClient extends RedisClient {
  readonly stream?: { ref?(): unknown; unref?(): unknown };
  readonly status: string;
  on(event: 'error' | 'connect', listener: (error?: unknown) => void): unknown;
  connect(): Promise<void>;
  disconnect(): void;
}

/** Ms until a connection, or an answer, counts as lost. */
const deadline = 5_000;
/** What another try does not mend. */
const setUp =
  /^(WRONGPASS|NOAUTH|NOPERM|ERR (AUTH|Client sent AUTH|invalid password|unknown command|DB index|invalid DB))/i;

/** A connection that is made when it is needed, whose errors hold no secret. */
export class RedisLink {
  readonly #address: string | RedisAddress | undefined;
  readonly #given: RedisClient | undefined;
  #own: OwnClient | undefined;
  #opening: Promise<OwnClient> | undefined;
  #checked = false;
  #busy = false;

  /** @throws RxhiveError INVALID_OPTION for something else than a URL, options or a client */
  constructor(connection: RedisConnection) {
    const given = connection as Partial<RedisClient> | undefined;
    if (typeof connection === 'string' && /^rediss?:\/\//.test(connection)) this.#address = connection;
    else if (typeof given?.evalsha === 'function' && typeof given.eval === 'function')
      this.#given = connection as RedisClient;
    else if (typeof connection === 'object' && connection !== null && !Array.isArray(connection))
      this.#address = connection as RedisAddress;
    else {
      // Not shown: it may be a URL with a password.
      const message =
        'connection takes a URL, redis://host:6379, options of package ioredis, or a client of it.';
      throw new RxhiveError('INVALID_OPTION', message);
    }
  }

  /** Runs a script. @throws RxhiveError INVALID_OPTION for what has to be set up otherwise, LIMITER_FAILED for what may pass */
  async run(script: string, keys: readonly string[], ...rest: readonly string[]): Promise<unknown> {
    try {
      const client = this.#given ?? (await this.#connected());
      await this.#check(client);
      const values = [...keys, ...rest];
      try {
        return await client.evalsha(shaOf(script), keys.length, ...values);
      } catch (error) {
        if (!/^NOSCRIPT/.test(textOf(error))) throw error;
        return await client.eval(script, keys.length, ...values);
      }
    } catch (error) {
      throw this.#named(error);
    }
  }

  /** Somebody waits for it: the process is to live on. */
  busy(is: boolean): void {
    this.#busy = is;
    this.#refer();
  }

  close(): void {
    if (this.#own?.status !== 'end') this.#own?.disconnect();
    this.#own = undefined;
  }

  async #connected(): Promise<OwnClient> {
    if (this.#own !== undefined && this.#own.status === 'ready') return this.#own;
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #open(): Promise<OwnClient> {
    this.close();
    const client = await makeClient(this.#address as string | RedisAddress);
    // What breaks while nobody asks is found out by whoever asks next.
    let said: unknown;
    client.on('error', (error) => {
      said = error;
    });
    client.on('connect', () => this.#refer());
    this.#own = client;
    try {
      await client.connect();
    } catch (error) {
      this.close();
      throw said ?? error;
    }
    this.#checked = false;
    return client;
  }

  #refer(): void {
    const stream = this.#own?.stream;
    if (this.#busy) stream?.ref?.();
    else stream?.unref?.();
  }

  /** A server that may throw keys away would forget what was taken. */
  async #check(client: RedisClient): Promise<void> {
    if (this.#checked) return;
    let policy: string | undefined;
    try {
      policy = /maxmemory_policy:(\S+)/.exec(await client.info('memory'))?.[1];
    } catch (error) {
      // Some servers tell nobody.
      if (!/^(NOPERM|ERR unknown command)/i.test(textOf(error))) throw error;
    }
    if (policy !== undefined && policy !== 'noeviction') {
      const message = `Redis may throw away what it knows of limits: its maxmemory-policy is ${policy.slice(0, 40)}. Set it to noeviction, or use another Redis for limits.`;
      throw new RxhiveError('INVALID_OPTION', message);
    }
    this.#checked = true;
  }

  /** What Redis says, without what could hold a secret: no cause, no command, no password. */
  #named(error: unknown): RxhiveError {
    if (error instanceof RxhiveError) return error;
    const said = this.#clean(textOf(error)).slice(0, 200);
    if (setUp.test(said)) {
      const message = `Redis refuses: ${said} Give the user and the password it knows.`;
      return new RxhiveError('INVALID_OPTION', message);
    }
    return new RxhiveError('LIMITER_FAILED', `Redis does not answer: ${said}`);
  }

  #clean(text: string): string {
    return secretsOf(this.#address).reduce((clean, one) => clean.replaceAll(one, '***'), text);
  }
}

function shaOf(script: string): string {
  return createHash('sha1').update(script).digest('hex');
}

function textOf(error: unknown): string {
  const { errors, message, code } = (error ?? {}) as {
    errors?: unknown[];
    message?: unknown;
    code?: unknown;
  };
  if (Array.isArray(errors) && errors.length > 0) return textOf(errors[0]);
  return String(message || code || 'unknown error');
}

/** What no message may show of an address. */
function secretsOf(address: string | RedisAddress | undefined): string[] {
  if (typeof address === 'string') return secretsIn(address);
  return [address?.password ?? ''].filter((one) => one !== '');
}

async function makeClient(address: string | RedisAddress): Promise<OwnClient> {
  // Typed here, so that nobody needs the types of ioredis to use rxhive.
  type Module = { readonly Redis: new (...given: unknown[]) => OwnClient };
  const { Redis } = await peer<Module>('ioredis', 'redis()', 'ioredis', () => import('ioredis'));
  const options = {
    lazyConnect: true,
    // Who asks decides when to try again.
    retryStrategy: () => null,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectTimeout: deadline,
    disconnectTimeout: 100,
    commandTimeout: deadline,
    connectionName: 'rxhive',
  };
  return typeof address === 'string' ? new Redis(address, options) : new Redis({ ...address, ...options });
}
