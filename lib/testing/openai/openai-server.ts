import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import { ProviderLedger, type ProviderOptions, type ProviderStats } from '../provider/provider-ledger.js';
import { type Answer, type ModelRequest, type Reply, readRequest, writeReply } from './openai-wire.js';

/** What an answer of the server can be made from, asynchronously too. */
export type AnswerRule = (request: ModelRequest) => Answer | PromiseLike<Answer>;

/** How an {@link OpenAIServer} behaves; limits, latency, 429 and rate-limit headers as in {@link ProviderOptions}. */
export interface OpenAIServerOptions extends ProviderOptions {
  /**
   * What it answers, as a function of the request. Default: an echo of the last user message; where a tool has to be
   * called, a call of it with the echo for every text that it needs.
   */
  readonly answer?: AnswerRule;
  /** Models that `/v1/models` lists. It answers for any model. Default `['local']`. */
  readonly models?: readonly string[];
  /** Refuses requests with another key with 401. Default: any key, or none. */
  readonly apiKey?: string;
  /** Characters in a chunk of a stream. Default 8. */
  readonly chunk?: number;
  /** Ms between chunks of a stream. Default 0. */
  readonly pause?: number;
}

/** A request as the server saw it. */
export interface SeenRequest extends ModelRequest {
  /** Ms since the server was started. */
  readonly at: number;
  /** The client went away before the answer was complete. */
  readonly aborted: boolean;
  /** HTTP status of the answer; 0: none was given. */
  readonly status: number;
}

/**
 * An OpenAI-compatible server over real HTTP on loopback, for tests and examples without a key:
 * `/v1/chat/completions` and `/v1/responses`, each as one answer or as a stream, with tools and usage, and `/v1/models`. Against
 * its limits a request counts as with a rough provider: characters / 4 of the transcript, and what the answer may have at most.
 *
 * ```ts
 * const server = await OpenAIServer.listen({ latency: 300, answer: ({ prompt }) => `You said: ${prompt}` });
 * // ... OPENAI_BASE_URL = server.url
 * server.next({ status: 429, headers: { 'retry-after': '2' } }, { fault: 'drop' }); // for the next two requests
 * console.log(server.requests.map(({ messages }) => messages));
 * await server.close();
 * ```
 */
export class OpenAIServer {
  /** Base address, as `OPENAI_BASE_URL` takes it. */
  readonly url: string;
  readonly #server: Server;
  readonly #desk: Desk;

  private constructor(url: string, server: Server, desk: Desk) {
    this.url = url;
    this.#server = server;
    this.#desk = desk;
  }

  /** Starts one on a free port of 127.0.0.1. It does not keep the process alive. */
  static async listen(options: OpenAIServerOptions = {}): Promise<OpenAIServer> {
    const started = performance.now();
    const epoch = Date.now();
    const now = (): number => performance.now() - started;
    const ledger = new ProviderLedger(options, () => epoch + now());
    const desk: Desk = { options, ledger, seen: [], script: [], now };
    const server = createServer((request, response) => {
      // A client that goes away before it has asked gets no answer.
      receive(request, response, desk).catch(() => response.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    server.unref();
    const { port } = server.address() as { port: number };
    return new OpenAIServer(`http://127.0.0.1:${port}/v1`, server, desk);
  }

  /** Every request for an answer so far, in order of arrival. */
  get requests(): readonly SeenRequest[] {
    return this.#desk.seen;
  }

  /** Counts so far. */
  get stats(): ProviderStats {
    return this.#desk.ledger.stats;
  }

  /** Answers for the next requests, one each, whatever the rule says. */
  next(...answers: readonly Answer[]): this {
    this.#desk.script.push(...answers);
    return this;
  }

  /** Changes the hidden number of requests it works on at once. */
  setCapacity(capacity: number): void {
    this.#desk.ledger.capacity = capacity;
  }

  /** Stops at once, open connections included. */
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

interface Desk {
  readonly options: OpenAIServerOptions;
  readonly ledger: ProviderLedger;
  readonly seen: SeenRequest[];
  readonly script: Answer[];
  now(): number;
}

type Seen = { -readonly [K in keyof SeenRequest]: SeenRequest[K] };

async function receive(request: IncomingMessage, response: ServerResponse, desk: Desk): Promise<void> {
  const text = await textOf(request);
  const { models = ['local'], apiKey } = desk.options;
  if (apiKey !== undefined && request.headers.authorization !== `Bearer ${apiKey}`)
    return refuse(response, 401, 'invalid_api_key', 'Incorrect API key provided.');
  if (request.method === 'GET' && request.url === '/v1/models') {
    const data = models.map((id) => ({ id, object: 'model', created: 0, owned_by: 'local' }));
    return send(response, 200, {}, { object: 'list', data });
  }
  const call = request.method === 'POST' ? readRequest(request.url ?? '', text) : undefined;
  if (call === undefined) {
    const ways = 'POST /v1/chat/completions or /v1/responses with a JSON body, or GET /v1/models';
    return refuse(response, 400, 'invalid_request_error', ways);
  }
  const seen: Seen = { ...call, at: desk.now(), aborted: false, status: 0 };
  desk.seen.push(seen);
  await serve(seen, response, desk).catch((error: unknown) => {
    // The rule threw: the test wants to see that.
    if (!response.headersSent) refuse(response, 500, 'server_error', String(error));
    else response.destroy();
  });
}

async function serve(seen: Seen, response: ServerResponse, desk: Desk): Promise<void> {
  const { ledger, options, script } = desk;
  const scripted = script.shift();
  const verdict = ledger.arrive(seen.inputTokens + seen.maxTokens);
  const { headers } = verdict;
  if (!verdict.accepted) {
    seen.status = 429;
    return refuse(response, 429, 'rate_limit_exceeded', 'Rate limit reached', headers);
  }
  let wake: (() => void) | undefined;
  let gone = false;
  response.on('close', () => {
    ledger.leave();
    gone = true;
    seen.aborted = !response.writableFinished;
    wake?.();
  });
  /** Ends early when the client goes away. */
  const wait = (ms: number): Promise<void> =>
    new Promise((done) => {
      const timer = setTimeout(done, ms);
      wake = () => {
        clearTimeout(timer);
        done();
      };
      if (gone) wake();
    });
  const given = scripted ?? (await (options.answer ?? echo)(seen));
  const reply: Reply = typeof given === 'string' ? { text: given } : given;
  await wait(reply.latency ?? verdict.latency);
  if (gone) return;
  if (reply.fault === 'hang') return;
  if (reply.fault === 'drop') {
    response.destroy();
    return;
  }
  seen.status = reply.status ?? 200;
  const all = { ...headers, ...reply.headers };
  if (seen.status >= 400) {
    const { code = seen.status === 429 ? 'rate_limit_exceeded' : 'server_error', text = 'Scripted error' } =
      reply;
    return refuse(response, seen.status, code, text, all);
  }
  const pace = { chunk: options.chunk ?? 8, pause: options.pause ?? 0, wait };
  await writeReply(seen, reply, response, all, pace);
}

/** The last user message; where a tool has to be called, the first one, or the one that was named. */
export function echo(request: ModelRequest): Answer {
  const last = request.messages.at(-1);
  const said = last?.role === 'tool' ? last.text : request.prompt;
  const { toolChoice, tools } = request;
  const tool = toolChoice === 'required' ? tools[0] : tools.find(({ name }) => name === toolChoice);
  if (tool === undefined) return said;
  const { properties = {} } = tool.parameters as { properties?: Record<string, { type?: unknown }> };
  const texts = Object.entries(properties).filter(([, { type }]) => type === 'string');
  return {
    toolCalls: [{ name: tool.name, arguments: Object.fromEntries(texts.map(([key]) => [key, said])) }],
  };
}

function refuse(
  response: ServerResponse,
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const type = status === 429 ? 'requests' : status < 500 ? 'invalid_request_error' : 'server_error';
  send(response, status, headers, { error: { message, type, code, param: null } });
}

function send(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: unknown,
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}
