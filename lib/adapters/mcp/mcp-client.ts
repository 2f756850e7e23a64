import { AsyncLocalStorage } from 'node:async_hooks';
import { onAbort } from '../../kernel/abort.js';
import { longestTimer } from '../../kernel/clock.js';
import { RxhiveError, truncate } from '../../kernel/errors.js';
import { getOrInsert } from '../../kernel/get-or-insert.js';
import type { TaskContext } from '../../model/context.js';
import type { Middleware } from '../../model/middleware.js';
import { type ConnectHooks, connectMcp, type McpClientOptions, optionProblem } from './mcp-connect.js';
import { elicit } from './mcp-elicit.js';
import type { PendingCall } from './mcp-http.js';
import type { McpProgress } from './mcp-sdk.js';
import type { McpSession } from './mcp-session.js';

/** A call of a tool. */
export interface McpCall {
  readonly ctx: TaskContext;
  readonly signal: AbortSignal;
  /** It may ask people. */
  readonly asks: boolean;
  progress(progress: McpProgress): void;
}

interface Talk extends PendingCall {
  readonly tool: string;
  readonly ctx: TaskContext;
}

/**
 * One connection to a server of MCP, shared by all calls; made by {@link mcpClient}. It opens with the first call and
 * again after it was lost. As `middleware` of a workflow it ends with the run; else with {@link McpClient.close} or
 * `await using`. The process of a server ends with this one at the latest.
 */
export class McpClient implements Middleware, AsyncDisposable {
  readonly #options: McpClientOptions;
  /** The call in whose name something goes on: over HTTP a question comes with the answer to one. */
  readonly #current = new AsyncLocalStorage<Talk>();
  readonly #talks = new Map<McpSession, Set<Talk>>();
  /** Connections for calls that may ask, while nobody uses them. */
  readonly #idle: McpSession[] = [];
  readonly #own = new Set<McpSession>();
  /** All connections, those that are being made too. */
  readonly #all = new Set<Promise<McpSession>>();
  #session: Promise<McpSession> | undefined;
  /** The one that {@link McpClient.session} gave last. */
  #shared: McpSession | undefined;
  readonly #hooks: ConnectHooks = {
    waiting: () => this.#current.getStore(),
    elicit: (asked, session) => elicit(asked, this.#asking(session), session.name),
    closed: (session) => this.#forget(session),
  };
  #runs = 0;
  #closed = false;

  constructor(options: McpClientOptions) {
    this.#options = options;
    const problem = optionProblem(options);
    if (problem !== undefined) throw new RxhiveError('INVALID_OPTION', `mcpClient: ${problem}`);
  }

  /** Opens the connection, or gives the one there is. */
  session(): Promise<McpSession> {
    if (this.#closed) {
      const message = `The client of the MCP server "${truncate(this.label)}" was closed; make another one.`;
      return Promise.reject(new RxhiveError('INVALID_OPTION', message));
    }
    const opening = this.#session ?? this.#open();
    this.#session = opening;
    opening.then(
      (session) => {
        if (this.#session === opening) this.#shared = session;
      },
      () => {
        if (this.#session === opening) this.#session = undefined;
      },
    );
    return opening;
  }

  /** What the server is known by before it has said its name. */
  get label(): string {
    const options = this.#options;
    // Without its words: keys can be among them.
    if ('command' in options) return options.command;
    return 'url' in options ? new URL(options.url).host : 'server';
  }

  /** Process id of the server, where it is a child process that runs. */
  async pid(): Promise<number | undefined> {
    return (await this.#session)?.process?.pid;
  }

  /** Calls a tool. Rejects with what the SDK throws. */
  async call(name: string, args: Readonly<Record<string, unknown>>, call: McpCall): Promise<unknown> {
    const { signal } = call;
    // A question does not say to which call it belongs: those that may ask have a connection for themselves meanwhile.
    const alone = call.asks && !('client' in this.#options);
    for (let again = false; ; again = true) {
      const session = await untilAborted(alone ? this.#single() : this.session(), signal);
      try {
        return await this.#talk(session, name, args, call);
      } catch (error) {
        if (session.lostBy(error)) this.#forget(session);
        // The server has not looked at the call: it wants a new session.
        if (again || !session.expiredBy(error)) throw session.explained(error);
      } finally {
        if (this.#own.has(session)) this.#idle.push(session);
      }
    }
  }

  async #talk(
    session: McpSession,
    name: string,
    args: Readonly<Record<string, unknown>>,
    { ctx, signal, progress }: McpCall,
  ): Promise<unknown> {
    const abort = new AbortController();
    const unlink = onAbort(signal, (reason) => abort.abort(reason));
    let reject: (error: Error) => void = () => undefined;
    const lost = new Promise<never>((_, refuse) => {
      reject = refuse;
    });
    const broken = (error: Error, resumes: boolean): void => {
      // Streams end after their answer too.
      if (!talks.has(talk)) return;
      if (resumes) session.resuming.add(reject);
      else {
        reject(error);
        abort.abort(error);
      }
    };
    const talk: Talk = { tool: name, ctx, broken };
    const talks = getOrInsert(this.#talks, session, () => new Set()).add(talk);
    const trace = Object.keys(ctx.carrier).length === 0 ? {} : { _meta: { ...ctx.carrier } };
    const request = { method: 'tools/call', params: { name, arguments: args, ...trace } };
    // The SDK needs a number; the clocks of tasks are rxhive's.
    const options = { signal: abort.signal, timeout: longestTimer, onprogress: progress };
    const answer = this.#current.run(talk, () => session.request(request, 'CallToolResultSchema', options));
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    answer.then(settle, settle);
    try {
      return await Promise.race([answer, lost]);
    } finally {
      // One that is lost is given up, or its timer would keep the process alive.
      if (!settled) abort.abort();
      talks.delete(talk);
      session.resuming.delete(reject);
      unlink();
    }
  }

  /** A connection that nobody else uses. */
  async #single(): Promise<McpSession> {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop())
      if (this.#own.has(idle)) return idle;
    await this.session();
    const session = await this.#open();
    this.#own.add(session);
    return session;
  }

  #open(): Promise<McpSession> {
    // Not within the call that needs it first: what comes over the connection would seem to belong to that one.
    const opening = this.#current.exit(() => connectMcp(this.#options, this.#hooks));
    this.#all.add(opening);
    opening.catch(() => this.#all.delete(opening));
    return opening;
  }

  /** Ends the connection and the process of the server, for good. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** As middleware: the connection ends with the last run that has it. */
  run(): () => void {
    this.#runs += 1;
    return () => {
      this.#runs -= 1;
      if (this.#runs === 0) void this.#end();
    };
  }

  async #end(): Promise<void> {
    const all = [...this.#all];
    this.#all.clear();
    this.#own.clear();
    this.#session = undefined;
    await Promise.all(all.map((one) => one.then((session) => session.close()).catch(() => undefined)));
  }

  /** The next call opens another connection; those that wait on this one keep it. */
  #forget(session: McpSession): void {
    if (this.#shared === session) this.#session = undefined;
    this.#own.delete(session);
    for (const one of this.#all)
      one.then((it) => it === session && this.#all.delete(one)).catch(() => undefined);
    session.leave();
  }

  /** The call for which the server asks: that of the stream the question came on, or the only one it can be. */
  #asking(session: McpSession): Talk {
    const current = this.#current.getStore();
    if (current !== undefined) return current;
    const [talk, ...others] = this.#talks.get(session) ?? [];
    if (talk !== undefined && others.length === 0) return talk;
    const why = talk === undefined ? 'no call is' : 'several calls are';
    throw new Error(`Map this tool with asks: true; ${why} in flight, and it is not clear which one asks.`);
  }
}

/**
 * The connection to a server of MCP, for {@link fromMcpTool} and {@link fromMcpTools}. Nothing is started before the first
 * call.
 *
 * ```ts
 * const files = mcpClient({ command: 'npx', args: ['-y', '@modelcontextprotocol/server-filesystem', '/data'] });
 * const wiki = mcpClient({ url: 'https://example.com/mcp', headers: { authorization: `Bearer ${token}` } });
 * const flow = workflow({ name: 'read', middleware: [files, wiki] }); // both end with the run
 * ```
 * @throws RxhiveError INVALID_OPTION
 */
export function mcpClient(options: McpClientOptions): McpClient {
  return new McpClient(options);
}

/** A promise, or the reason of the signal where that is first. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const unlink = onAbort(signal, reject);
    promise.then(resolve, reject).finally(unlink);
  });
}
