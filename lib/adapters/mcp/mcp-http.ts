/** A server that is reached over streamable HTTP. */
export interface McpAddress {
  readonly url: string | URL;
  /** Sent with each request, such as `authorization`; a function is asked each time. */
  readonly headers?: HeaderBag | (() => HeaderBag | PromiseLike<HeaderBag>);
  /** An `OAuthClientProvider` of the SDK. */
  readonly authProvider?: object;
  /** Default: that of Node. */
  readonly fetch?: typeof fetch;
}

type HeaderBag = Readonly<Record<string, string>>;

/** Who waits for the answer to a request. */
export interface PendingCall {
  /** The answer will not come by itself any more; `resumes`: unless the stream is taken up again. */
  broken(error: Error, resumes: boolean): void;
}

/**
 * `fetch` for the transport of the SDK: no message longer than `most` bytes comes in, refusals keep their status and
 * headers (429 and Retry-After), and who waits hears when its stream breaks: the SDK would wait on.
 */
export function watchedFetch(
  address: McpAddress,
  most: number,
  waiting: () => PendingCall | undefined,
): typeof fetch {
  const { headers = {}, fetch: base = fetch } = address;
  return async (input, init) => {
    // Within a call there are other requests too: answers to what the server asks.
    const isCall = typeof init?.body === 'string' && init.body.includes('"method":"tools/call"');
    const who = isCall ? waiting() : undefined;
    const given = typeof headers === 'function' ? await headers() : headers;
    const all = new Headers(init?.headers);
    for (const [name, value] of Object.entries(given)) all.set(name, value);
    const response = await base(input, { ...init, headers: all });
    const { status } = response;
    if (init?.method === 'POST' && (status === 429 || status >= 500)) {
      const text = await response.text().catch(() => '');
      const error = new Error(`HTTP ${status} ${text.slice(0, 500)}`.trim());
      throw Object.assign(error, { status, headers: response.headers });
    }
    if (!response.ok || status === 202 || response.body === null) return response;
    const watched = new WatchedBody(most, (error, resumes) => who?.broken(error, resumes));
    const { statusText } = response;
    return new Response(watched.read(response.body), { status, statusText, headers: response.headers });
  };
}

/** Passes a body through, event by event. */
class WatchedBody {
  readonly #most: number;
  readonly #broken: (error: Error, resumes: boolean) => void;
  #since = 0;
  #line = 0;
  #resumes = false;

  constructor(most: number, broken: (error: Error, resumes: boolean) => void) {
    this.#most = most;
    this.#broken = broken;
  }

  read(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    const reader = body.getReader();
    let left = false;
    const fail = (error: Error): void => {
      if (!left) this.#broken(error, this.#resumes);
    };
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (left) return;
          if (done) {
            controller.close();
            // The answer may be the last event: it is read first.
            setTimeout(() =>
              fail(new Error('The server closed the connection before its answer (ECONNRESET).')),
            );
            return;
          }
          this.#count(value);
          controller.enqueue(value);
        } catch (error) {
          if (left) return;
          controller.error(error);
          fail(error as Error);
          reader.cancel().catch(() => undefined);
        }
      },
      cancel: (reason) => {
        left = true;
        return reader.cancel(reason);
      },
    });
  }

  /** An empty line ends an event, `id:` begins the line that makes the stream one to be taken up again. */
  #count(chunk: Uint8Array): void {
    for (const byte of chunk) {
      if (byte === 13) continue;
      if (byte === 10) {
        if (this.#line === 0) this.#since = 0;
        this.#line = 0;
        continue;
      }
      if (this.#line === 0 && byte === 105) this.#resumes = true;
      this.#line += 1;
      this.#since += 1;
    }
    if (this.#since > this.#most)
      throw new Error(`A message of the server has more than ${this.#most} bytes; raise maxMessageBytes.`);
  }
}
