import { spawn, spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A PostgreSQL server of this benchmark's own. */
export interface Server {
  readonly url: string;
  stop(): void;
}

/** Newest folder with the server's programs, as Debian and others install them. */
function programs(): string | undefined {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [...versions.map((one) => join(debian, one, 'bin')), '/usr/local/bin', '/usr/bin'];
  return folders.find((folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')));
}

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}

/** The server refuses to run as root: then it gets the user that its package made, or nobody. */
function user(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const numberOf = (flag: string, name: string): number =>
    Number(spawnSync('id', [flag, name], { encoding: 'utf8' }).stdout || Number.NaN);
  const name = ['postgres', 'nobody'].find((one) => Number.isFinite(numberOf('-u', one))) ?? 'nobody';
  return { uid: numberOf('-u', name), gid: numberOf('-g', name) };
}

/** Starts a server with its default settings on loopback, in a folder that goes away; else says why it cannot. */
export async function startPostgres(): Promise<Server | string> {
  const bin = programs();
  if (bin === undefined) return 'no PostgreSQL server is installed';
  const folder = mkdtempSync(join(tmpdir(), 'rxhive-pg-'));
  const who = user();
  if (who.uid !== undefined) chownSync(folder, who.uid, who.gid ?? 0);
  const data = join(folder, 'data');
  const options = { ...who, cwd: folder, env: { ...process.env, HOME: folder } } as const;
  const made = spawnSync(join(bin, 'initdb'), ['-D', data, '-U', 'bench', '-A', 'trust'], {
    ...options,
    encoding: 'utf8',
  });
  if (made.status !== 0) return `initdb failed: ${made.stderr.trim().split('\n').at(-1)}`;
  const port = await freePort();
  const server = spawn(
    join(bin, 'postgres'),
    ['-D', data, '-h', '127.0.0.1', '-p', String(port), '-k', folder],
    { ...options, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const stop = (): void => {
    server.kill('SIGINT');
    rmSync(folder, { recursive: true, force: true });
  };
  const ready = await new Promise<boolean>((done) => {
    let text = '';
    server.stderr.on('data', (chunk: Buffer) => {
      text += chunk;
      if (text.includes('ready to accept connections')) done(true);
    });
    server.on('exit', () => done(false));
  });
  if (!ready) {
    stop();
    return 'the PostgreSQL server did not start';
  }
  process.on('exit', stop);
  return { url: `postgresql://bench@127.0.0.1:${port}/postgres`, stop };
}
