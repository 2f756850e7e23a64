import { type ChildProcess, spawn } from 'node:child_process';
import { brief } from '../kernel/errors.js';
import { mcpSdk } from './mcp-sdk.js';

/** A server that is a process of its own, spoken to over its stdin and stdout. */
export interface McpCommand {
  readonly command: string;
  readonly args?: readonly string[];
  /** Beside the few variables that are harmless (PATH, HOME, ...). Keys of yours do not reach it by themselves. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: that of this process. */
  readonly cwd?: string;
}

interface ReadBuffer {
  append(chunk: Buffer): void;
  readMessage(): unknown;
}

interface StdioModule {
  readonly ReadBuffer: new (options: { readonly maxBufferSize: number }) => ReadBuffer;
  serializeMessage(message: unknown): string;
}

/** Ms a server gets to end by itself, and again after SIGTERM. */
const grace = 1_000;
const tailLength = 2_000;

/**
 * The connection to a server that is a child process. Unlike the transport of the SDK it stops what the child has started
 * too (`npx` is only the parent of the server), says in errors what the server wrote last to stderr, and does not keep
 * this process alive while nothing is asked. The child ends with this process, but for a SIGKILL: then it sees its stdin
 * end, no more.
 */
export class McpProcess {
  onclose: (() => void) | undefined;
  onerror: ((error: Error) => void) | undefined;
  onmessage: ((message: unknown) => void) | undefined;
  readonly #command: McpCommand;
  readonly #most: number;
  #child: ChildProcess | undefined;
  #buffer: ReadBuffer | undefined;
  #module: StdioModule | undefined;
  #stderr = '';
  #handing = false;
  #ended: Promise<void> = Promise.resolve();

  constructor(command: McpCommand, maxMessageBytes: number) {
    this.#command = command;
    this.#most = maxMessageBytes;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** What it wrote last to stderr. */
  get stderr(): string {
    return this.#stderr.trim();
  }

  async start(): Promise<void> {
    const { command, args = [], env, cwd } = this.#command;
    const [stdio, { getDefaultEnvironment }] = await Promise.all([
      mcpSdk<StdioModule>('shared/stdio.js'),
      mcpSdk<{ getDefaultEnvironment(): Record<string, string> }>('client/stdio.js'),
    ]);
    this.#module = stdio;
    this.#buffer = new stdio.ReadBuffer({ maxBufferSize: this.#most });
    const child = spawn(command, args, {
      cwd,
      env: { ...getDefaultEnvironment(), ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      child.once('close', resolve);
      child.once('error', () => resolve());
    });
    child.once('close', (code, signal) => {
      children.delete(child);
      // What it had started and left behind.
      kill(child, 'SIGKILL');
      this.#say(`The server ended with ${signal ?? `exit code ${code}`}`);
      this.onclose?.();
    });
    child.stdout?.on('data', (chunk: Buffer) => this.#read(chunk));
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString('utf8')).slice(-tailLength);
    });
    for (const stream of child.stdio) stream?.on('error', (error: Error) => this.onerror?.(error));
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) => reject(new Error(`Cannot start ${brief(command)}: ${error.message}`)));
    });
    guard(child);
  }

  send(message: unknown): Promise<void> {
    const line = this.#module?.serializeMessage(message) ?? '';
    return new Promise((resolve, reject) => {
      const stdin = this.#child?.stdin;
      if (stdin?.writable !== true) return reject(new Error('Not connected'));
      stdin.write(line, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Ends it: first its stdin, then SIGTERM, then SIGKILL, each with all that it has started. */
  async close(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return this.#ended;
    this.hold(true);
    child.stdin?.end();
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      if (await this.#endsWithin(grace)) return;
      kill(child, signal);
    }
    await this.#ended;
  }

  /** Whether this process waits for it. */
  hold(on: boolean): void {
    const child = this.#child;
    if (child === undefined) return;
    const what = on ? 'ref' : 'unref';
    child[what]();
    for (const stream of child.stdio) (stream as unknown as { ref(): void; unref(): void } | null)?.[what]();
  }

  #read(chunk: Buffer): void {
    const buffer = this.#buffer as ReadBuffer;
    try {
      buffer.append(chunk);
    } catch {
      this.#say(`A message of the server has more than ${this.#most} bytes; raise maxMessageBytes`);
      if (this.#child !== undefined) kill(this.#child, 'SIGKILL');
      return;
    }
    void this.#hand(buffer);
  }

  /**
   * Hands over what has come. The SDK looks at notifications a turn later than at answers, and would lose the last progress
   * before an answer that came with it.
   */
  async #hand(buffer: ReadBuffer): Promise<void> {
    if (this.#handing) return;
    this.#handing = true;
    for (let message: unknown; message !== null; ) {
      try {
        message = buffer.readMessage();
        if (message !== null) this.onmessage?.(message);
      } catch (error) {
        // A line that is no message: servers print things. The SDK does the same.
        this.onerror?.(error as Error);
      }
      await undefined;
    }
    this.#handing = false;
  }

  #say(what: string): void {
    const { stderr } = this;
    this.onerror?.(new McpProcessError(stderr === '' ? what : `${what}; stderr: ${brief(last(stderr))}`));
  }

  async #endsWithin(ms: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(resolve, ms, false);
    });
    const ended = await Promise.race([this.#ended.then(() => true), late]);
    clearTimeout(timer);
    return ended;
  }
}

/** Why the process of a server is gone. */
export class McpProcessError extends Error {}

function last(text: string): string {
  return text.split('\n').at(-1) ?? '';
}

/** Kills a child and its process group. */
function kill(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // Nothing is left of it.
  }
}

const children = new Set<ChildProcess>();
const deadly = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A group of its own is not reached by Ctrl-C in the terminal, so this process passes its end on. */
function guard(child: ChildProcess): void {
  if (children.size === 0) {
    process.once('exit', killAll);
    for (const signal of deadly) process.on(signal, pass);
  }
  children.add(child);
  child.once('close', () => {
    if (children.size > 0) return;
    process.off('exit', killAll);
    for (const signal of deadly) process.off(signal, pass);
  });
}

function killAll(): void {
  for (const child of children) kill(child, 'SIGKILL');
}

/** Kills the children and dies as it would have done, unless somebody else decides what the signal means. */
function pass(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  killAll();
  for (const one of deadly) process.off(one, pass);
  process.kill(process.pid, signal);
}
