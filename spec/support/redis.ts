import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';

/** A server for specs. */
export interface TestRedis {
  readonly url: string;
  readonly client: Redis;
  /** A name that nobody else uses. */
  name(): string;
  end(): Promise<void>;
}

/** The server that RXHIVE_REDIS names; undefined, and a line that says so, where it names none. */
export async function testRedis(): Promise<TestRedis | undefined> {
  const url = process.env.RXHIVE_REDIS;
  if (url === undefined) {
    console.log('skipped: no Redis at RXHIVE_REDIS');
    return undefined;
  }
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null });
  client.on('error', () => undefined);
  await client.connect();
  return {
    url,
    client,
    name: () => `spec-${randomUUID().slice(0, 8)}`,
    end: async () => {
      await client.quit();
    },
  };
}
