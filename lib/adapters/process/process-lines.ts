import type { RxhiveError } from '../../kernel/errors.js';
import { truncate } from '../../kernel/errors.js';
import type { TaskContext } from '../../model/context.js';
import { AgentError, agentError, finalError } from '../agent-error.js';
import type { ProcessGroup } from './process-group.js';
import { ProcessError, type ProcessFailure, type ProcessMessage } from './process-message.js';

/** How a {@link ProcessTalk} is held. */
export interface TalkOptions {
  /** Name of the command, for messages. */
  readonly name: string;
  readonly grace: number;
  readonly maxBytes: number;
  readonly output: 'json' | 'text' | ((line: string) => ProcessMessage | undefined);
}

/** Whom a {@link ProcessTalk} tells. */
export interface TalkListener {
  value(value: unknown): void;
  fail(error: RxhiveError): void;
  end(): void;
}

/** Reads what a command says until it has ended. */
export class ProcessTalk {
  /** Nobody listens any more. */
  over = false;
  readonly #group: ProcessGroup;
  readonly #ctx: TaskContext;
  readonly #options: TalkOptions;
  readonly #to: TalkListener;
  readonly #name: string;
  /** Pieces of the line that is not complete yet. */
  #pieces: Buffer[] = [];
  #bytes = 0;
  #lines = 0;
  #text = '';
  #stderr = '';
  #result: { readonly value: unknown } | undefined;

  constructor(group: ProcessGroup, ctx: TaskContext, options: TalkOptions, to: TalkListener) {
    this.#group = group;
    this.#ctx = ctx;
    this.#options = options;
    this.#to = to;
    this.#name = truncate(options.name);
    const { child } = group;
    child.on('error', (error) => this.#fail(this.#notStarted(error)));
    if (child.pid === undefined) return;
    child.stdout.on('data', (chunk: Buffer) => this.#guard(() => this.#read(chunk)));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-mostStderr);
    });
    child.on('exit', () => this.#exited());
    child.on('close', (code, signal) => this.#guard(() => this.#closed(code, signal)));
  }

  #guard(work: () => void): void {
    if (this.over) return;
    try {
      work();
    } catch (error) {
      this.#fail(agentError(this.#ctx.taskId, error));
    }
  }

  #fail(error: RxhiveError): void {
    if (this.over) return;
    this.over = true;
    this.#to.fail(error);
  }

  /** What it leaves behind is ended; where that holds its stdout open, it is not waited for. */
  #exited(): void {
    const { grace } = this.#options;
    const { child } = this.#group;
    this.#group.stop(grace);
    const patience = setTimeout(() => {
      child.stdout.destroy();
      child.stderr.destroy();
    }, grace + 1_000);
    child.stdout.on('data', () => patience.refresh());
    child.on('close', () => clearTimeout(patience));
  }

  #read(chunk: Buffer): void {
    const { maxBytes, output } = this.#options;
    let at = 0;
    while (!this.over && at < chunk.length) {
      const found = chunk.indexOf(10, at);
      const end = found === -1 ? chunk.length : found + 1;
      this.#pieces.push(chunk.subarray(at, end));
      this.#bytes += end - at;
      at = end;
      if (this.#bytes > maxBytes) {
        const what = output === 'text' ? 'its output' : `line ${this.#lines + 1}`;
        this.#fail(this.#hopeless(`${what} has over ${maxBytes} bytes; raise maxBytes.`));
      } else if (found !== -1) this.#line();
    }
  }

  /** A line is complete. */
  #line(): void {
    const line = Buffer.concat(this.#pieces).toString('utf8');
    const { output } = this.#options;
    this.#pieces = [];
    if (output === 'text') {
      this.#text += line;
      this.#to.value(this.#text.replace(/\r?\n$/, ''));
      return;
    }
    this.#bytes = 0;
    this.#lines += 1;
    if (line.trim() === '') return;
    const message = typeof output === 'function' ? output(line.replace(/\r?\n$/, '')) : this.#message(line);
    if (message !== undefined) this.#take(message);
  }

  #message(line: string): ProcessMessage {
    try {
      return messageOf(JSON.parse(line));
    } catch {
      throw this.#error(`line ${this.#lines} of stdout is no JSON; write it to stderr.`);
    }
  }

  #take(message: ProcessMessage): void {
    const { usage, log, error } = message;
    if (usage !== undefined) this.#ctx.usage(usage);
    if (log !== undefined) this.#ctx.log(String(log), message.data);
    if ('value' in message) this.#to.value(message.value);
    if ('result' in message) {
      this.#result = { value: message.result };
      // It has said all; what keeps it alive is of no interest.
      const { grace } = this.#options;
      const late = setTimeout(() => this.#group.stop(grace), grace);
      this.#group.child.on('exit', () => clearTimeout(late));
    }
    if (error !== undefined) this.#fail(this.#told(error));
  }

  #told(error: string | ProcessFailure): RxhiveError {
    const { message, isRetryable, ...facts } = typeof error === 'string' ? { message: error } : error;
    const { taskId } = this.#ctx;
    const cause = Object.assign(new ProcessError(String(message), this.#stderr), facts);
    const read = agentError(taskId, cause);
    if (isRetryable === undefined || !(read instanceof AgentError)) return read;
    const { kind, status, retryAfter } = read;
    return new AgentError(taskId, { kind, status, retryAfter, headers: undefined, isRetryable }, cause);
  }

  #closed(code: number | null, signal: string | null): void {
    if (this.#pieces.length > 0) this.#line();
    if (this.over) return;
    // One that has said its result and did not exit was ended by us.
    const well = code === 0 || (code === null && this.#result !== undefined);
    if (!well) {
      this.#fail(this.#badEnd(code, signal));
      return;
    }
    this.over = true;
    if (this.#result !== undefined) this.#to.value(this.#result.value);
    this.#to.end();
  }

  #badEnd(code: number | null, signal: string | null): RxhiveError {
    const how =
      code === null ? `ended by ${signal}${signal === 'SIGKILL' ? ' (memory?)' : ''}` : `exit code ${code}`;
    const why = tellingLine(this.#stderr);
    const words = why === '' ? how : `${how}: ${why}`;
    const facts = code === null ? { signal: String(signal) } : { exitCode: code };
    const cause = Object.assign(this.#error(words), facts);
    const { taskId } = this.#ctx;
    return hopelessCodes.has(code ?? 0) ? finalError(taskId, 'other', cause) : agentError(taskId, cause);
  }

  #notStarted(error: Error): RxhiveError {
    const { code } = error as { code?: unknown };
    if (code === 'ENOENT') return this.#hopeless('there is no such command, or its cwd is not there.');
    if (code === 'EACCES') return this.#hopeless('it may not be executed.');
    return agentError(this.#ctx.taskId, error);
  }

  #error(words: string): ProcessError {
    return new ProcessError(`${this.#name}: ${words}`, this.#stderr);
  }

  #hopeless(words: string): AgentError {
    return finalError(this.#ctx.taskId, 'other', this.#error(words));
  }
}

/** Characters of stderr that are kept. */
const mostStderr = 4_000;
/** Exit codes that stay: of shells 126 and 127, of sysexits.h usage, input, user, host, rights and configuration. */
const hopelessCodes: ReadonlySet<number> = new Set([64, 66, 67, 68, 77, 78, 126, 127]);
const fields: ReadonlySet<string> = new Set(['usage', 'log', 'data', 'value', 'result', 'error']);

/** A message, or any other value. */
function messageOf(json: unknown): ProcessMessage {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return { value: json };
  const names = Object.keys(json);
  const isMessage = names.every((name) => fields.has(name)) && names.some((name) => name !== 'data');
  return isMessage ? (json as ProcessMessage) : { value: json };
}

/** The last line that speaks of an error, or else the last one: some runtimes write more below it. */
function tellingLine(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  return (lines.findLast((line) => /\w*(error|exception|panic)\b/i.test(line)) ?? lines.at(-1) ?? '').trim();
}
