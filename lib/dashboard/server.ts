import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { map, type Observable } from 'rxjs';
import { Clock } from '../kernel/clock.js';
import { inspect, isRxhiveError, RxhiveError } from '../kernel/errors.js';
import { checked, number } from '../kernel/option-rules.js';
import type { WorkflowEvent } from '../model/event.js';
import { isToken } from '../model/question.js';
import { type EventLogOptions, eventLines } from '../observe/event-log.js';
import { EventFeed } from '../streams/event-feed.js';
import { eventText } from '../streams/event-text.js';
import { nodeOutlet, streamHeaders } from '../streams/outlets.js';
import { type ActionTarget, act, textOf } from './actions.js';
import { policyOf, readPage } from './page-file.js';

/** How a dashboard is served. */
export interface DashboardOptions extends EventLogOptions {
  /** Default 0: any free one. */
  readonly port?: number;
  /** Address to listen on. Default 127.0.0.1, which only this machine reaches. */
  readonly host?: string;
  /** What a page has to know to act on the run. Default: a new random one. */
  readonly token?: string;
  /** Events kept for pages that come later or are slow; older ones are counted as dropped. Default 200,000. */
  readonly capacity?: number;
  /** Makes the run that goes on after a failed one, for the button "run what failed again". */
  readonly retry?: () => ActionTarget & { readonly events$: Observable<WorkflowEvent> };
  /**
   * Makes the run that goes on from where a task of a run has committed, for the button "go on from here". The page then
   * shows that one; see `flow.fork`.
   */
  readonly fork?: (from: ForkPoint) => DashboardSource | Promise<DashboardSource>;
}

/** Where a fork begins: right after that task of that run has committed. */
export interface ForkPoint {
  readonly runId: string;
  readonly taskId: string;
}

/** A dashboard that is being served. */
export interface Dashboard {
  /** Address with the token, to open in a browser. */
  readonly url: string;
  readonly port: number;
  readonly token: string;
  /** Ends the server; the run goes on. */
  close(): Promise<void>;
}

/** A run, something with events only, or lines that are ready, such as those of a log, and the run they are of. */
export type DashboardSource =
  | (Partial<ActionTarget> & { readonly events$: Observable<WorkflowEvent> })
  | { readonly lines$: Observable<string>; readonly run?: ActionTarget };

const longestBody = 65_536;
/** Ms between two looks at limits; what changes without an event, such as permits, is not in the log. */
const looksEvery = 500;

/**
 * Serves the page for a run, live, on loopback. Serving subscribes to the events, which starts a run that has not
 * started. Actions (cancel, pause, limits) need the token; requests with a foreign Host or Origin are refused.
 * @throws RxhiveError INVALID_OPTION
 */
export async function serveDashboard(
  source: DashboardSource,
  options: DashboardOptions = {},
): Promise<Dashboard> {
  const {
    port = 0,
    host = '127.0.0.1',
    token = randomBytes(18).toString('base64url'),
    capacity = 200_000,
  } = options;
  if (!(Number.isInteger(port) && port >= 0 && port < 65_536))
    throw new RxhiveError('INVALID_OPTION', `port is ${inspect(port)}; give a whole number from 0 to 65535.`);
  checked(capacity, 'capacity', number(1, 'whole'));
  if (token.length < 8)
    throw new RxhiveError('INVALID_OPTION', 'The token is too short; give at least 8 characters.');
  const page = readPage();
  const feed = new EventFeed({
    capacity,
    onFull: 'drop-oldest',
    tag: '',
    clock: new Clock(),
    // A log that breaks off has an end too.
    endText: () => eventText('', 'end'),
  });
  const serving = new Serving({ page, feed, token, options });
  const server = createServer((request, response) => serving.answer(request, response));
  await listening(server, port, host);
  const { port: bound } = server.address() as AddressInfo;
  const name = host.includes(':') ? `[${host}]` : host;
  serving.hosts = new Set([
    `${name}:${bound}`,
    ...(isLoopback(host) ? [`localhost:${bound}`, `127.0.0.1:${bound}`] : []),
  ]);
  serving.take(source);
  return {
    url: `http://${name}:${bound}/#token=${token}`,
    port: bound,
    token,
    close: () => serving.close(server),
  };
}

interface Facts {
  readonly page: string;
  readonly feed: EventFeed;
  readonly token: string;
  readonly options: DashboardOptions;
}

class Serving {
  hosts: ReadonlySet<string> = new Set();
  readonly #facts: Facts;
  #target: Partial<ActionTarget> = {};
  #stop: () => void = () => undefined;
  /** The limits that pages were told last. */
  #limits = '';
  readonly #looks: NodeJS.Timeout;

  constructor(facts: Facts) {
    this.#facts = facts;
    this.#looks = setInterval(() => this.#look(), looksEvery);
    this.#looks.unref();
  }

  take(source: DashboardSource): void {
    this.#stop();
    const given = 'lines$' in source;
    this.#target = (given ? source.run : source) ?? {};
    const lines$ = given ? source.lines$ : source.events$?.pipe(eventLines(this.#facts.options));
    if (lines$ === undefined)
      throw new RxhiveError('INVALID_OPTION', 'There is nothing to show; give a run or lines$.');
    const subscription = this.#facts.feed.take(lines$.pipe(map((line) => eventText(line))));
    this.#stop = () => subscription.unsubscribe();
  }

  async close(server: Server): Promise<void> {
    clearInterval(this.#looks);
    this.#stop();
    const closed = new Promise<void>((done) => server.close(() => done()));
    server.closeAllConnections();
    await closed;
  }

  answer(request: IncomingMessage, response: ServerResponse): void {
    const { page } = this.#facts;
    response.setHeader('content-security-policy', `${policyOf(page)}; frame-ancestors 'none'`);
    response.setHeader('x-content-type-options', 'nosniff');
    response.setHeader('referrer-policy', 'no-referrer');
    response.setHeader('cross-origin-resource-policy', 'same-origin');
    response.setHeader('cross-origin-opener-policy', 'same-origin');
    response.setHeader('cache-control', 'no-store');
    const { host = '', origin } = request.headers;
    // Another site may make a browser call this address, by a name of its own that leads here or from its own pages.
    const foreign = origin !== undefined && origin !== `http://${host}`;
    const path = (request.url ?? '/').split(/[?#]/)[0];
    if (!this.hosts.has(host.toLowerCase()))
      refuse(response, 403, 'This server does not answer to that host name.');
    else if (foreign) refuse(response, 403, 'Another site may not use this server.');
    else if (request.method === 'GET' && path === '/') {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end(page);
    } else if (request.method === 'GET' && path === '/events') this.#stream(request, response);
    else if (request.method === 'POST' && path === '/actions') this.#action(request, response);
    else if (request.method === 'POST' && path?.startsWith('/answers/') === true)
      this.#callback(path.slice('/answers/'.length), request, response);
    else refuse(response, 404, 'There is nothing here.');
  }

  #look(): void {
    const { feed } = this.#facts;
    if (feed.clients === 0 || feed.ended) return;
    const limits = JSON.stringify(this.#target.limits?.() ?? []);
    if (limits === this.#limits) return;
    this.#limits = limits;
    feed.send(`${eventText(limits, 'limits')}\n`);
  }

  #stream(request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, streamHeaders);
    response.flushHeaders();
    if (this.#facts.options.fork !== undefined) response.write(`${eventText('["fork"]', 'actions')}\n`);
    this.#limits = '';
    nodeOutlet(this.#facts.feed, request, response);
  }

  #action(request: IncomingMessage, response: ServerResponse): void {
    const given = Buffer.from((request.headers.authorization ?? '').replace(/^Bearer /, ''));
    const wanted = Buffer.from(this.#facts.token);
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
      refuse(response, 401, 'The token is missing or wrong; open the address that the server printed.');
      return;
    }
    readJson(request, response, (wish) => this.#do(wish));
  }

  /** A program answers: its token is all the right it needs, and it gives no other. */
  #callback(token: string, request: IncomingMessage, response: ServerResponse): void {
    const { answer } = this.#target;
    if (!isToken(token) || answer === undefined) refuse(response, 404, 'There is nothing here.');
    else readJson(request, response, (value) => answer.call(this.#target, token, value), statusOfAnswer);
  }

  async #do(wish: unknown): Promise<void> {
    const { action, runId, taskId } = (wish ?? {}) as { action?: unknown; runId?: unknown; taskId?: unknown };
    if (action === 'retryFailed') this.#retry();
    else if (action === 'fork')
      await this.#fork({ runId: textOf(runId, 'runId'), taskId: textOf(taskId, 'taskId') });
    else await act(this.#target, wish);
  }

  #retry(): void {
    const { retry } = this.#facts.options;
    if (retry === undefined)
      throw new RxhiveError(
        'INVALID_OPTION',
        'This run cannot be continued from here; serve it with the option retry.',
      );
    this.take(retry());
  }

  async #fork(from: ForkPoint): Promise<void> {
    const { fork } = this.#facts.options;
    if (fork === undefined)
      throw new RxhiveError(
        'INVALID_OPTION',
        'Nothing can be forked from here; run with a store, or serve it with the option fork.',
      );
    this.take(await fork(from));
  }
}

/** Reads what was sent, and does what it asks for. */
function readJson(
  request: IncomingMessage,
  response: ServerResponse,
  work: (sent: unknown) => Promise<void>,
  statusOf: (error: unknown) => number = () => 400,
): void {
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? '')) {
    refuse(response, 415, 'Send JSON.');
    return;
  }
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (chunk: string) => {
    body += chunk;
    if (body.length <= longestBody) return;
    refuse(response, 413, 'That is too long.');
    request.destroy();
  });
  request.on('end', async () => {
    if (body.length > longestBody) return;
    try {
      await work(JSON.parse(body));
      response.writeHead(204).end();
    } catch (error) {
      refuse(response, statusOf(error), (error as Error).message);
    }
  });
}

/** What a program is told by the status: nothing is known of that token, it is too late, or the value is wrong. */
function statusOfAnswer(error: unknown): number {
  const code = isRxhiveError(error) ? error.code : undefined;
  if (code === 'QUESTION_UNKNOWN') return 404;
  if (code === 'ALREADY_ANSWERED') return 409;
  return code === 'QUESTION_CLOSED' ? 410 : 400;
}

function refuse(response: ServerResponse, status: number, why: string): void {
  if (response.headersSent) return;
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(why);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host);
}

function listening(server: Server, port: number, host: string): Promise<void> {
  return new Promise((done, fail) => {
    server.once('error', (error: Error) =>
      fail(
        new RxhiveError(
          'INVALID_OPTION',
          `Cannot listen on port ${port}: ${error.message}. Choose another port.`,
          { cause: error },
        ),
      ),
    );
    server.listen(port, host, done);
  });
}
