import { createServer, type Server } from 'node:net';

/** What a Redis answers to the commands by which clients ask what it is: as if it were another one. */
export interface FakeRedisFacts {
  readonly version?: string;
  readonly policy?: string;
  /** Refuses every password. */
  readonly refuses?: boolean;
}

/** A server on loopback that speaks as much of the protocol of Redis as a client needs to begin. */
export async function fakeRedis(facts: FakeRedisFacts): Promise<{ readonly port: number; close(): void }> {
  const { version = '7.0.15', policy = 'noeviction', refuses = false } = facts;
  const text = (one: string): string => `$${Buffer.byteLength(one)}\r\n${one}\r\n`;
  const answer = (command: string): string => {
    if (command === 'PING') return '+PONG\r\n';
    if (refuses && (command === 'AUTH' || command === 'HELLO'))
      return '-WRONGPASS invalid username-password pair or user is disabled.\r\n';
    if (refuses) return '-NOAUTH Authentication required.\r\n';
    if (command === 'INFO')
      return text(`# Server\r\nredis_version:${version}\r\nmaxmemory_policy:${policy}\r\nloading:0\r\n`);
    if (command === 'CONFIG') return `*2\r\n${text('maxmemory-policy')}${text(policy)}`;
    return '+OK\r\n';
  };
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined);
    // Commands begin with *; one chunk holds whole ones, as long as clients say little.
    socket.on('data', (data) => {
      for (const command of String(data).split(/(?=\*\d+\r\n)/)) {
        const name = command.split('\r\n')[2]?.toUpperCase();
        if (name !== undefined) socket.write(answer(name));
      }
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  server.unref();
  return { port: (server.address() as { port: number }).port, close: () => void server.close() };
}
