import type { IncomingMessage, ServerResponse } from 'node:http';
import { map, type Observable, type SchedulerLike, type Subscription } from 'rxjs';
import { Clock, type Timer } from '../kernel/clock.js';
import { RxhiveError } from '../kernel/errors.js';
import { badReturn, callUser } from '../kernel/guard.js';
import { bag, checked, either, isFunction, number, oneOf, rule } from '../kernel/option-rules.js';
import type { WorkflowEvent } from '../model/event.js';
import type { EventLogOptions } from '../observe/event-log.js';
import { JsonWriter } from '../observe/json-writer.js';
import { Redactor } from '../observe/redact.js';
import type { Run } from '../run.js';
import { EventFeed } from './event-feed.js';
import { eventText } from './event-text.js';
import { nodeOutlet, streamHeaders, webBody } from './outlets.js';

/** How a stream is sent to browsers. */
export interface EventStreamOptions<T = unknown> extends EventLogOptions {
  /** Name of the event of a value, which browsers listen for; undefined: `message`. Default: all are messages. */
  readonly event?: (value: T) => string | undefined;
  /** Text of a value. Default: JSON, without secrets. */
  readonly data?: (value: T) => string;
  /** Events kept for clients that come back, come late or are slow. Whole number from 1. Default 10,000. */
  readonly capacity?: number;
  /**
   * A client that is more events behind misses the oldest or the newest of them, is told how many (event `dropped`) and goes on,
   * or is told LIMIT_EXCEEDED (event `failed`) and nothing more. Default `drop-oldest`.
   */
  readonly onFull?: 'error' | 'drop-oldest' | 'drop-newest';
  /** Ms after which a browser that has lost the connection comes back. Whole number from 0. Default 3,000. */
  readonly retry?: number;
  /** Ms between two comments that keep proxies from closing a silent connection; false: none. Default 15,000. */
  readonly heartbeat?: number | false;
  /**
   * Ms the source stays subscribed while there is no client; then it is left, and what was kept is forgotten. A run that
   * nobody else watches is cancelled by that. This wait does not keep the process. Number from 0, or Infinity. Default 30,000.
   */
  readonly linger?: number;
  /** Cancel a run that is left, whoever else watches it? Default false. */
  readonly cancel?: boolean;
  /** Time of `heartbeat` and `linger`. Default: real time. */
  readonly scheduler?: SchedulerLike;
}

/** A stream as server-sent events, for any number of browsers. */
export interface EventStream {
  /** Browsers that are connected now. */
  readonly clients: number;
  /**
   * Answers a request of `node:http`, Express and the like, until the client leaves or the stream ends. Headers of yours, such
   * as those of CORS, belong on the response before. Whether the client may read this is for you to check.
   */
  serve(request: IncomingMessage, response: ServerResponse): void;
  /**
   * The answer to a request of the Web, as Deno, Bun, Hono, Next and service workers take it; its `body` is a ReadableStream of bytes.
   * `headers`: more of yours.
   */
  response(request?: Request, headers?: Readonly<Record<string, string>>): Response;
  /** Leaves the source and ends all connections; browsers that come back are told to stop. */
  close(): void;
}

/**
 * Server-sent events of a run (its events) or of any Observable (its values), as `EventSource` in a browser reads them. The
 * source is subscribed at once, so a run starts, and once for all clients. A client that comes back goes on after the last
 * event it has heard; a new one begins with the oldest that is kept. The end is an event `end`, an error an event `failed` with
 * its name, message and code, without secrets.
 *
 * ```ts
 * const events = toEventSource(run);
 * createServer((request, response) => events.serve(request, response)).listen(8080);
 * ```
 * @throws RxhiveError INVALID_OPTION
 */
export function toEventSource<T>(source: Observable<T>, options: EventStreamOptions<T> = {}): EventStream {
  checked(options, 'toEventSource()', optionRules);
  const { event, data, redact = {}, longestText = 20_000 } = options;
  const writer = new JsonWriter(redact === false ? undefined : new Redactor(redact), longestText);
  const run = isRun(source) ? source : undefined;
  if (options.cancel === true && run === undefined)
    throw new RxhiveError(
      'INVALID_OPTION',
      'toEventSource(): cancel is true, and the source is no run; leave it out.',
    );
  const json = (value: T): string =>
    run === undefined ? writer.value(value) : writer.event(value as WorkflowEvent);
  // The events of a run as a view: who leaves a run itself cancels it.
  const values$ = (run === undefined ? source : run.events$) as Observable<T>;
  const texts$ = values$.pipe(
    map((value) =>
      eventText(
        data === undefined ? json(value) : textOf(data, value),
        event === undefined ? undefined : nameOf(event, value),
      ),
    ),
  );
  return new ServedStream(texts$, options, writer, () => run?.cancel('Nobody reads its events any more.'));
}

const optionRules = bag<EventStreamOptions>(
  'an object of options',
  {
    event: rule(isFunction, 'give a function of a value'),
    data: rule(isFunction, 'give a function of a value'),
    capacity: number(1, 'whole'),
    onFull: oneOf(['error', 'drop-oldest', 'drop-newest']),
    retry: number(0, 'whole'),
    heartbeat: either(
      (value) => value === false,
      () => undefined,
      number(1),
    ),
    linger: number(0, 'infinite'),
    cancel: rule((value) => typeof value === 'boolean', 'give true or false'),
  },
  false,
);

function isRun(source: object): source is Run {
  return 'events$' in source && 'cancel' in source;
}

/** Names of events that say how the stream itself is doing. */
const ownNames: ReadonlySet<string> = new Set(['end', 'failed', 'dropped']);

function nameOf<T>(event: (value: T) => string | undefined, value: T): string | undefined {
  const name: unknown = callUser('event', () => event(value));
  if (name === undefined) return undefined;
  if (typeof name !== 'string' || name === '' || /[\r\n\0]/.test(name) || ownNames.has(name))
    throw badReturn('event', name, 'a text of one line that is not end, failed or dropped');
  return name;
}

function textOf<T>(data: (value: T) => string, value: T): string {
  const text: unknown = callUser('data', () => data(value));
  if (typeof text !== 'string') throw badReturn('data', text, 'a text');
  return text;
}

class ServedStream implements EventStream {
  readonly #texts$: Observable<string>;
  readonly #options: Omit<EventStreamOptions, 'event' | 'data'>;
  readonly #clock: Clock;
  readonly #writer: JsonWriter;
  readonly #cancel: () => void;
  #feed: EventFeed | undefined;
  #subscription: Subscription | undefined;
  /** Set while there is no client. */
  #left: Timer | undefined;
  #isClosed = false;

  constructor(
    texts$: Observable<string>,
    options: Omit<EventStreamOptions, 'event' | 'data'>,
    writer: JsonWriter,
    cancel: () => void,
  ) {
    this.#texts$ = texts$;
    this.#options = options;
    const { scheduler } = options;
    // Nobody comes back to a process that has nothing else to do.
    this.#clock = new Clock({ keepsProcess: false, ...(scheduler !== undefined && { scheduler }) });
    this.#writer = writer;
    this.#cancel = cancel;
    this.#follow();
  }

  get clients(): number {
    return this.#feed?.clients ?? 0;
  }

  serve(request: IncomingMessage, response: ServerResponse): void {
    if (response.destroyed || response.writableEnded) return;
    const lastId = request.headers['last-event-id'];
    const feed = this.#feedFor(typeof lastId === 'string' ? lastId : undefined);
    if (feed === undefined) {
      response.writeHead(204).end();
      return;
    }
    response.writeHead(200, streamHeaders);
    response.write(this.#greeting);
    nodeOutlet(feed, request, response);
  }

  response(request?: Request, headers: Readonly<Record<string, string>> = {}): Response {
    const lastId = request?.headers.get('last-event-id') ?? undefined;
    const feed = this.#feedFor(lastId);
    if (feed === undefined) return new Response(null, { status: 204, headers });
    const body = webBody(feed, this.#greeting, lastId);
    return new Response(body, { headers: { ...streamHeaders, ...headers } });
  }

  close(): void {
    this.#isClosed = true;
    this.#leave();
  }

  get #greeting(): string {
    return `retry: ${this.#options.retry ?? 3_000}\n\n`;
  }

  /** Undefined: there is nothing more for this client. */
  #feedFor(lastId: string | undefined): EventFeed | undefined {
    if (this.#isClosed || this.#feed?.heardAll(lastId)) return undefined;
    return this.#feed ?? this.#follow();
  }

  #follow(): EventFeed {
    const { capacity = 10_000, onFull = 'drop-oldest', heartbeat = 15_000 } = this.#options;
    const feed = new EventFeed({
      capacity,
      onFull,
      tag: `${crypto.randomUUID().slice(0, 8)}.`,
      heartbeat: heartbeat === false ? undefined : heartbeat,
      clock: this.#clock,
      endText: ({ error }) =>
        error === undefined ? eventText('', 'end') : eventText(this.#writer.value(error), 'failed'),
      onClients: () => this.#watch(),
    });
    this.#feed = feed;
    this.#subscription = feed.take(this.#texts$);
    // At its end too: what is kept then needs no timer.
    this.#subscription.add(() => this.#watch());
    this.#watch();
    return feed;
  }

  /** Begins to count when the last client has left. */
  #watch(): void {
    this.#clock.cancel(this.#left);
    this.#left = undefined;
    const { linger = 30_000 } = this.#options;
    if (this.clients > 0) return;
    if (this.#feed === undefined || this.#feed.ended || linger === Number.POSITIVE_INFINITY) {
      this.#clock.dispose();
      return;
    }
    this.#left = this.#clock.after(linger, () => {
      this.#leave();
      if (this.#options.cancel === true) this.#cancel();
    });
  }

  #leave(): void {
    const feed = this.#feed;
    this.#feed = undefined;
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    feed?.close();
  }
}
