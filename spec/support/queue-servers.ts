import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bullmqTables, type QueueConnection } from '../../lib/executors/bullmq.js';
import type { WorkerFacts } from '../../lib/model/worker.js';
import { fromSources } from './from-sources.js';

/** A server to carry queues, for specs. */
export interface QueueServerFound {
  readonly title: 'Redis' | 'PostgreSQL';
  readonly connection: QueueConnection;
}

/** Those there are, by RXHIVE_REDIS and RXHIVE_POSTGRES; says which are missing. */
export async function queueServers(): Promise<readonly QueueServerFound[]> {
  const { RXHIVE_REDIS: redis, RXHIVE_POSTGRES: postgres } = process.env;
  const found: QueueServerFound[] = [];
  if (redis === undefined) console.log('skipped: no Redis at RXHIVE_REDIS');
  else found.push({ title: 'Redis', connection: { redis } });
  if (postgres === undefined) console.log('skipped: no PostgreSQL at RXHIVE_POSTGRES');
  else {
    await bullmqTables({ postgres });
    found.push({ title: 'PostgreSQL', connection: { postgres } });
  }
  return found;
}

/** A name for queues that nobody else has. */
export function freshName(): string {
  return `t${randomBytes(6).toString('hex')}`;
}

/** A worker in a process of its own. */
export interface WorkerProcess {
  readonly facts: WorkerFacts;
  readonly process: ChildProcess;
  /** Resolves when it has ended. */
  readonly ended: Promise<unknown>;
  kill(signal?: NodeJS.Signals): Promise<unknown>;
}

/** Starts a TypeScript file in a process of its own, that ends with this one. It has to call `endWithParent`. */
export function startFile(
  file: URL,
  env: Readonly<Record<string, string>>,
  stderr: 'inherit' | 'pipe' = 'inherit',
): ChildProcess {
  const child = spawn(process.execPath, [...fromSources, file.pathname], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', stderr],
  });
  const atExit = (): void => void child.kill('SIGKILL');
  process.once('exit', atExit);
  child.once('exit', () => process.off('exit', atExit));
  return child;
}

/** Starts the worker of `worker-agents.ts`; `begun` is where its attempts are noted. */
export function workerProcess(
  settings: { readonly connection: QueueConnection; readonly name: string } & Readonly<
    Record<string, unknown>
  >,
  begun?: string,
): Promise<WorkerProcess> {
  const child = startFile(new URL('./worker-process.ts', import.meta.url), {
    WORKER: JSON.stringify(settings),
    ...(begun !== undefined && { BEGUN_FILE: begun }),
  });
  const ended = new Promise((done) => child.once('exit', done));
  return new Promise((done, failed) => {
    child.once('error', failed);
    child.once('exit', (code) => failed(new Error(`the worker ended with ${code} before it was ready`)));
    child.stdout?.once('data', (line: Buffer) => {
      const facts = JSON.parse(String(line)) as WorkerFacts;
      const kill = (signal: NodeJS.Signals = 'SIGKILL'): Promise<unknown> => {
        child.kill(signal);
        return ended;
      };
      done({ facts, process: child, ended, kill });
    });
  });
}

/** A file in which workers note what they begin. */
export interface BegunFile {
  readonly file: string;
  /** What is in it: task, attempt and process of each. */
  read(): readonly string[][];
  /** What workers have told of their server, one line each. */
  trouble(): readonly string[];
}

export function begunFile(): BegunFile {
  const file = join(tmpdir(), `rxhive-begun-${randomBytes(6).toString('hex')}`);
  const lines = (of: string): readonly string[] => {
    try {
      return readFileSync(of, 'utf8')
        .split('\n')
        .filter((line) => line !== '');
    } catch {
      return [];
    }
  };
  return {
    file,
    read: () => lines(file).map((line) => line.split(' ')),
    trouble: () => lines(`${file}.trouble`),
  };
}
