import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, mkdirSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { bullmqTables, type QueueConnection } from '../../../lib/executors/bullmq.js';

/** A server for queues on loopback, that a script may restart. */
export interface OwnServer {
  readonly title: 'Redis' | 'PostgreSQL';
  readonly connection: QueueConnection;
  /** Ends it, and starts it anew with what it has kept. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts one whose files are in `folder`: Debian's redis-server, or with `isPostgres` its PostgreSQL. */
export async function ownServer(folder: string, isPostgres: boolean): Promise<OwnServer> {
  const port = await freePort();
  return isPostgres ? postgresServer(folder, port) : redisServer(folder, port);
}

async function redisServer(folder: string, port: number): Promise<OwnServer> {
  let server: ChildProcess | undefined;
  const options = `--port ${port} --bind 127.0.0.1 --dir ${folder} --appendonly yes --save`;
  const start = async (): Promise<void> => {
    server = spawn('redis-server', [...options.split(' '), ''], { stdio: 'ignore' });
    for (let up = false; !up; ) {
      await sleep(50);
      try {
        up = execFileSync('redis-cli', ['-p', String(port), 'ping'], { stdio: 'pipe' }).includes('PONG');
      } catch {
        // not yet
      }
    }
  };
  const stop = async (): Promise<void> => {
    const ended = new Promise((done) => server?.once('exit', done));
    server?.kill('SIGTERM');
    await ended;
  };
  process.once('exit', () => server?.kill('SIGKILL'));
  await start();
  const restart = (): Promise<void> => stop().then(start);
  return { title: 'Redis', connection: { redis: `redis://127.0.0.1:${port}` }, restart, stop };
}

async function postgresServer(folder: string, port: number): Promise<OwnServer> {
  const versions = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a));
  const bin = `/usr/lib/postgresql/${versions[0]}/bin`;
  const data = join(folder, 'data');
  mkdirSync(data, { recursive: true });
  // The server refuses to run as root.
  const isRoot = process.getuid?.() === 0;
  const [user, group] = isRoot
    ? ['-u', '-g'].map((one) => Number(execFileSync('id', [one, 'postgres'], { encoding: 'utf8' })))
    : [];
  if (user !== undefined && group !== undefined) {
    chownSync(folder, user, group);
    chownSync(data, user, group);
  }
  const as = isRoot ? ['setpriv', '--reuid', `${user}`, '--regid', `${group}`, '--clear-groups', '--'] : [];
  const call = (program: string, ...given: string[]): void => {
    const [first = '', ...rest] = [...as, join(bin, program), '-D', data, ...given];
    execFileSync(first, rest, { stdio: 'ignore', cwd: folder });
  };
  call('initdb', '-U', 'postgres', '-A', 'trust', '--no-sync');
  const settings = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${folder} -c max_connections=300`;
  const start = async (): Promise<void> =>
    call('pg_ctl', '-w', '-l', join(folder, 'log'), '-o', settings, 'start');
  // As a server that crashes: who is connected is cut off.
  const stop = async (): Promise<void> => call('pg_ctl', '-m', 'immediate', 'stop');
  process.once('exit', () => void stop().catch(() => undefined));
  await start();
  const connection = { postgres: `postgres://postgres@127.0.0.1:${port}/postgres` };
  await bullmqTables(connection);
  return { title: 'PostgreSQL', connection, restart: () => stop().then(start), stop };
}

export function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}
