import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { ProviderLedger, type ProviderOptions, type ProviderStats } from './provider-ledger.js';
import { requestText } from './request-text.js';

/** Longest body it reads, in bytes. */
const mostBytes = 1_000_000;

/**
 * A fake model provider over real HTTP on loopback: sliding windows of requests and tokens, latency, 429 with
 * Retry-After, a hidden capacity that can drop, rate-limit headers, and counts of what it saw.
 *
 * `POST {url}/chat/completions` takes an OpenAI-shaped body `{ model, messages, max_tokens }` and answers with
 * `choices` and `usage`. Tokens are counted as a rough provider would: characters / 4 of the messages, plus
 * `max_tokens` (default 16) as the output.
 *
 * ```ts
 * const provider = await FakeProvider.listen({ requestsPerMinute: 600, latency: [50, 200], capacity: 24 });
 * // ... provider.url, provider.stats, provider.setCapacity(12)
 * await provider.close();
 * ```
 */
export class FakeProvider {
  /** Base address, as `OPENAI_BASE_URL` takes it. */
  readonly url: string;
  readonly #ledger: ProviderLedger;
  readonly #server: Server;

  private constructor(url: string, ledger: ProviderLedger, server: Server) {
    this.url = url;
    this.#ledger = ledger;
    this.#server = server;
  }

  /** Starts one on a free port of 127.0.0.1. It does not keep the process alive. */
  static async listen(options: ProviderOptions = {}): Promise<FakeProvider> {
    const started = performance.now();
    const epoch = Date.now();
    const ledger = new ProviderLedger(options, () => epoch + performance.now() - started);
    const server = createServer((request, response) => answer(request, response, ledger));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    server.unref();
    const { port } = server.address() as { port: number };
    return new FakeProvider(`http://127.0.0.1:${port}/v1`, ledger, server);
  }

  /** Counts so far. */
  get stats(): ProviderStats {
    return this.#ledger.stats;
  }

  /** Changes the hidden number of requests it works on at once. */
  setCapacity(capacity: number): void {
    this.#ledger.capacity = capacity;
  }

  /** Stops at once, open connections included. */
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

function answer(request: IncomingMessage, response: ServerResponse, ledger: ProviderLedger): void {
  requestText(request, mostBytes, (text) => {
    const call = parse(text);
    if (request.method !== 'POST' || request.url !== '/v1/chat/completions' || call === undefined) {
      send(
        response,
        400,
        {},
        { error: { message: 'POST /v1/chat/completions with a JSON body', type: 'invalid_request_error' } },
      );
      return;
    }
    const { model, inputTokens, outputTokens } = call;
    const { accepted, latency, headers } = ledger.arrive(inputTokens + outputTokens);
    if (!accepted) {
      send(response, 429, headers, {
        error: { message: 'Rate limit reached', type: 'requests', code: 'rate_limit_exceeded' },
      });
      return;
    }
    let done = false;
    const leave = (): void => {
      if (!done) ledger.leave();
      done = true;
    };
    const timer = setTimeout(() => {
      leave();
      send(response, 200, headers, {
        id: 'chatcmpl-fake',
        object: 'chat.completion',
        model,
        choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'ok' } }],
        usage: {
          prompt_tokens: inputTokens,
          completion_tokens: outputTokens,
          total_tokens: inputTokens + outputTokens,
        },
      });
    }, latency);
    response.on('close', () => {
      clearTimeout(timer);
      leave();
    });
  });
}

/** What the books need of a request; undefined: not one. */
function parse(text: string): { model: string; inputTokens: number; outputTokens: number } | undefined {
  try {
    const body = JSON.parse(text) as { model?: unknown; messages?: unknown; max_tokens?: unknown };
    if (!Array.isArray(body.messages)) return undefined;
    let characters = 0;
    for (const message of body.messages as { content?: unknown }[]) {
      const { content } = message;
      characters += typeof content === 'string' ? content.length : (JSON.stringify(content)?.length ?? 0);
    }
    const { max_tokens } = body;
    const outputTokens = typeof max_tokens === 'number' && max_tokens >= 0 ? Math.floor(max_tokens) : 16;
    return { model: String(body.model ?? 'fake'), inputTokens: Math.ceil(characters / 4), outputTokens };
  } catch {
    return undefined;
  }
}

function send(
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: unknown,
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}
