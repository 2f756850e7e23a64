import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { truncate } from '../../kernel/errors.js';
import { ProcessGroup } from '../process/process-group.js';
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
const newline = 10;

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
  #group: ProcessGroup | undefined;
  #buffer: ReadBuffer | undefined;
  #module: StdioModule | undefined;
  #stderr = '';
  #handing = false;
  /** Bytes of a message that has not ended. */
  #unended = 0;
  #tooLong = false;
  #ended: Promise<void> = Promise.resolve();

  constructor(command: McpCommand, maxMessageBytes: number) {
    this.#command = command;
    this.#most = maxMessageBytes;
  }

  get pid(): number | undefined {
    return this.#group?.child.pid;
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
    // How long a message may be is looked at here: not every SDK does.
    this.#buffer = new stdio.ReadBuffer({ maxBufferSize: Number.POSITIVE_INFINITY });
    const all = { ...getDefaultEnvironment(), ...env };
    const group = new ProcessGroup(command, args, { env: all, ...(cwd !== undefined && { cwd }) });
    const { child } = group;
    this.#group = group;
    this.#ended = new Promise((resolve) => {
      child.once('close', resolve);
      child.once('error', () => resolve());
    });
    child.once('exit', () => group.kill()); // what it had started and left behind
    child.once('close', (code, signal) => {
      if (!this.#tooLong) this.#say(`The server ended with ${signal ?? `exit code ${code}`}`);
      this.onclose?.();
    });
    child.stdout.on('data', (chunk: Buffer) => this.#read(chunk));
    child.stderr.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString('utf8')).slice(-tailLength);
    });
    for (const stream of [child.stdin, child.stdout, child.stderr])
      stream.on('error', (error: Error) => this.onerror?.(error));
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) => {
        const cause = new Error(`Cannot start ${truncate(command)}: ${error.message}`);
        reject(Object.assign(cause, { isRetryable: false }));
      });
    });
  }

  send(message: unknown): Promise<void> {
    const line = this.#module?.serializeMessage(message) ?? '';
    return new Promise((resolve, reject) => {
      const stdin = this.#group?.child.stdin;
      if (stdin?.writable !== true) return reject(new Error('Not connected'));
      stdin.write(line, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Ends it: first its stdin, then SIGTERM, then SIGKILL, each with all that it has started. */
  async close(): Promise<void> {
    const group = this.#group;
    if (group === undefined) return;
    const { child } = group;
    this.hold(true);
    child.stdin.end();
    await Promise.race([this.#ended, pause(grace, undefined, { ref: false })]);
    await group.stop(grace);
    await this.#ended;
  }

  /** Whether this process waits for it. */
  hold(on: boolean): void {
    if (this.#group === undefined) return;
    const { child } = this.#group;
    const what = on ? 'ref' : 'unref';
    child[what]();
    for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as unknown as Socket)[what]();
  }

  #read(chunk: Buffer): void {
    const buffer = this.#buffer as ReadBuffer;
    if (this.#tooLong) return;
    if (this.#isTooLong(chunk)) {
      this.#tooLong = true;
      this.#say(`A message of the server has more than ${this.#most} bytes; raise maxMessageBytes`);
      this.#group?.kill();
      return;
    }
    buffer.append(chunk);
    void this.#hand(buffer);
  }

  /** Does a message get longer than it may be? */
  #isTooLong(chunk: Buffer): boolean {
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      if (this.#unended + end - from > this.#most) return true;
      this.#unended = 0;
      from = end + 1;
    }
    this.#unended += chunk.length - from;
    return this.#unended > this.#most;
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
    this.onerror?.(new McpProcessError(stderr === '' ? what : `${what}; stderr: ${truncate(last(stderr))}`));
  }
}

/** Why the process of a server is gone. */
export class McpProcessError extends Error {}

function last(text: string): string {
  return text.split('\n').at(-1) ?? '';
}
