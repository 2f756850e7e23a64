import { Observable } from 'rxjs';
import { inspect, RxhiveError } from '../../kernel/errors.js';
import type { TaskContext } from '../../model/context.js';
import { finalError } from '../agent-error.js';
import type { AdaptedAgent } from '../contract.js';
import { ProcessGroup } from './process-group.js';
import { ProcessTalk } from './process-lines.js';
import { ProcessError, type ProcessMessage } from './process-message.js';

export { ProcessError, type ProcessFailure, type ProcessMessage } from './process-message.js';

/** How a task meets a command. */
export interface ProcessOptions<I = unknown> {
  /** What is written to its stdin, which is closed then. Default: the input as one line of JSON. */
  readonly stdin?: (input: I) => string | Uint8Array;
  /**
   * What its stdout means. `json` (default): each line is a value, or a {@link ProcessMessage} when it is an object with
   * no other fields than those. `text`: all of it is one text; each value is the text so far. A function reads one line
   * of another format; undefined: it says nothing.
   */
  readonly output?: 'json' | 'text' | ((line: string) => ProcessMessage | undefined);
  /** Where it runs. Default: where this process does. */
  readonly cwd?: string | URL | ((input: I) => string | URL);
  /** Variables of its environment, beside those in `inherit`. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Names of variables that it gets from this process. Default: {@link inheritedNames}, which hold no keys. It also gets
   * RXHIVE_ATTEMPT, RXHIVE_IDEMPOTENCY_KEY and the trace it is part of (TRACEPARENT).
   */
  readonly inherit?: readonly string[];
  /** Ms between asking it to end (SIGTERM) and ending it (SIGKILL). Default 2,000. */
  readonly grace?: number;
  /** Most bytes of a line, with `text` of all of it. Default 8 MiB. */
  readonly maxBytes?: number;
}

/** The variables that commands need, and that hold no secrets. */
export const inheritedNames: readonly string[] =
  process.platform === 'win32'
    ? [
        'APPDATA',
        'HOMEDRIVE',
        'HOMEPATH',
        'LOCALAPPDATA',
        'PATH',
        'PATHEXT',
        'SYSTEMROOT',
        'TEMP',
        'USERPROFILE',
      ]
    : ['HOME', 'LANG', 'LC_ALL', 'LOGNAME', 'PATH', 'SHELL', 'TERM', 'TMPDIR', 'TZ', 'USER'];

/**
 * Any command as an agent. It is started for each attempt, without a shell, and gets its input on stdin; what it writes to
 * stdout are values of the stream, the last one the result. It has to exit with 0. When the attempt ends early, so does the
 * command, with everything that it has started.
 *
 * ```ts
 * const count = fromProcess<string, number>('python3', ['count.py'], { inherit: [...inheritedNames, 'OPENAI_API_KEY'] });
 * const coder = fromProcess('llm', ['-m', 'local'], { stdin: promptOf, output: 'text', cwd: './tree' });
 * ```
 * @throws RxhiveError INVALID_OPTION when an option is wrong
 */
export function fromProcess<I = unknown>(
  command: string,
  args: readonly string[] | ((input: I) => readonly string[]),
  options: ProcessOptions<I> & { readonly output: 'text' },
): AdaptedAgent<I, string>;
export function fromProcess<I = unknown, R = unknown>(
  command: string,
  args?: readonly string[] | ((input: I) => readonly string[]),
  options?: ProcessOptions<I>,
): AdaptedAgent<I, R>;
export function fromProcess<I, R>(
  command: string,
  args: readonly string[] | ((input: I) => readonly string[]) = [],
  options: ProcessOptions<I> = {},
): AdaptedAgent<I, R> {
  const { grace = 2_000, maxBytes = 8 * 1024 * 1024, inherit = inheritedNames, output = 'json' } = options;
  const { cwd, env, stdin = (input: I) => `${JSON.stringify(input) ?? 'null'}\n` } = options;
  if (typeof command !== 'string' || command === '') throw wrong(`command is ${inspect(command)}; name one.`);
  if (!(Number.isFinite(grace) && grace >= 0)) throw wrong(`grace is ${inspect(grace)}; give ms from 0.`);
  if (!(Number.isInteger(maxBytes) && maxBytes >= 1))
    throw wrong(`maxBytes is ${inspect(maxBytes)}; give a whole number from 1.`);
  if (output !== 'json' && output !== 'text' && typeof output !== 'function')
    throw wrong(`output is ${inspect(output)}; give 'json', 'text' or a function.`);
  return (input, ctx) =>
    new Observable<R>((subscriber) => {
      let group: ProcessGroup;
      try {
        const place = typeof cwd === 'function' ? cwd(input) : cwd;
        const written = stdin(input);
        group = new ProcessGroup(command, typeof args === 'function' ? args(input) : args, {
          ...(place !== undefined && { cwd: place }),
          env: { ...inherited(inherit), ...ofAttempt(ctx), ...env },
        });
        group.write(written);
      } catch (error) {
        // A mapping has thrown, or there can be no such command.
        subscriber.error(
          finalError(ctx.taskId, 'other', new ProcessError(String((error as Error).message), '')),
        );
        return;
      }
      const name = command.slice(command.lastIndexOf('/') + 1);
      const talk = new ProcessTalk(
        group,
        ctx,
        { name, grace, maxBytes, output },
        {
          value: (value) => subscriber.next(value as R),
          fail: (error) => subscriber.error(error),
          end: () => subscriber.complete(),
        },
      );
      return () => {
        talk.over = true;
        group.stop(grace);
      };
    });
}

function inherited(names: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of names) {
    const value = process.env[name];
    if (value !== undefined) found[name] = value;
  }
  return found;
}

/** Source of the names: OpenTelemetry, "Environment Variables as Context Propagation Carriers". */
function ofAttempt({ attempt, idempotencyKey, carrier }: TaskContext): Record<string, string> {
  const trace = Object.entries(carrier ?? {}).map(([name, value]) => [
    name.toUpperCase().replaceAll('-', '_'),
    value,
  ]);
  return {
    ...Object.fromEntries(trace),
    RXHIVE_ATTEMPT: String(attempt),
    RXHIVE_IDEMPOTENCY_KEY: idempotencyKey,
  };
}

function wrong(what: string): RxhiveError {
  return new RxhiveError('INVALID_OPTION', `fromProcess: ${what}`);
}
