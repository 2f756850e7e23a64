import { JsonWriter } from '../observe/json-writer.js';
import { Redactor } from '../observe/redact.js';
import type { TerminalStream } from '../views/terminal.js';
import { escapeControl, short } from '../views/text.js';
import { WrongCall } from './wrong-call.js';

interface Issue {
  readonly path: string;
  readonly message: string;
}

/** The code of an error of rxhive; the module may have loaded another copy of this package. */
export function codeOf(error: unknown): string | undefined {
  const { code, details } = (error ?? {}) as { readonly code?: unknown; readonly details?: unknown };
  return typeof code === 'string' && typeof details === 'object' ? code : undefined;
}

/** The message of what was thrown, which may be anything, in one line. */
export function firstLine(error: unknown): string {
  const { message = error } = (error ?? {}) as { readonly message?: unknown };
  return String(message).split('\n')[0] ?? '';
}

/** Where a command writes to; `process` is one. */
export interface Streams {
  readonly stdout: Pick<TerminalStream, 'write'>;
  readonly stderr: TerminalStream;
}

/** stdout is for the answer of a command, stderr for all that is said meanwhile. */
export class Output {
  /** The answer is one JSON document. */
  readonly isJson: boolean;
  readonly stderr: TerminalStream;
  readonly #stdout: Streams['stdout'];
  #isAnswered = false;

  constructor(isJson: boolean, { stdout, stderr }: Streams) {
    this.isJson = isJson;
    this.stderr = stderr;
    // What a module prints would be taken for the answer.
    this.#stdout = isJson && stdout === process.stdout ? ownStdout() : stdout;
  }

  /** The answer, as data or for people. Nothing in data changes what a terminal does. */
  answer(data: () => object, text: () => string): void {
    if (!this.isJson) {
      const lines = text();
      if (lines !== '') this.print(`${lines}\n`);
    } else if (!this.#isAnswered) {
      this.#isAnswered = true;
      this.print(`${escapeControl(JSON.stringify(data(), readable))}\n`);
    }
  }

  /** Text for stdout as it is. */
  print(text: string): void {
    this.#stdout.write(text);
  }

  /** Why there is no answer, once: as the document, or as a line. */
  failed(error: unknown, { before = '', behind = '' } = {}): void {
    const { message = error, issues } = (error ?? {}) as {
      readonly message?: unknown;
      readonly issues?: unknown;
    };
    const text = `${before}${String(message)}${behind}`;
    const code = error instanceof WrongCall ? 'WRONG_CALL' : (codeOf(error) ?? 'FAILED');
    const refused = code === 'ANSWER_REFUSED' ? (issues as readonly Issue[]) : [];
    if (this.isJson)
      this.answer(
        () => ({ error: { code, message: text, ...(refused.length > 0 && { issues: refused }) } }),
        () => text,
      );
    else {
      this.note(`rxhive: ${escapeControl(text)}`);
      for (const { path, message } of refused)
        this.note(`  ${short(path === '' ? message : `${path}: ${message}`, 2_000)}`);
    }
  }

  /** A line that is not part of the answer. */
  note(line: string): void {
    this.stderr.write(`${line}\n`);
  }
}

const writer = new JsonWriter(new Redactor(), 20_000);

/** Errors may be anything, circles too: they are written as logs write them. */
function readable(key: string, value: unknown): unknown {
  return key === 'error' ? JSON.parse(writer.value(value)) : value;
}

/** The real stdout; what anybody else prints there goes to stderr from now on. */
export function ownStdout(): Pick<TerminalStream, 'write'> & {
  write(chunk: string | Buffer, done?: () => void): boolean;
} {
  const write = process.stdout.write.bind(process.stdout);
  // Looked up each time: a live terminal puts what is printed above its picture.
  process.stdout.write = ((...said: Parameters<typeof process.stderr.write>) =>
    process.stderr.write(...said)) as typeof process.stdout.write;
  return { write: (chunk: string | Buffer, done?: () => void) => write(chunk, done) };
}
