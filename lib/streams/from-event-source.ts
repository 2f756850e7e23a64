import { Observable, type Subscriber } from 'rxjs';
import { messageOf, RxhiveError, truncate } from '../kernel/errors.js';
import { callUser } from '../kernel/guard.js';
import { jsonOrText } from '../kernel/json-or-text.js';
import {
  all,
  bag,
  checked,
  each,
  isFunction,
  options as optionsOf,
  required,
} from '../kernel/option-rules.js';
import { peer } from '../kernel/peer.js';
import { isRecord } from '../kernel/plain.js';

/** The part of an `EventSource` that is used: that of a browser, of the package `eventsource`, or one of yours. */
export interface EventSourceLike {
  /** 2: it does not try to connect any more. */
  readonly readyState: number;
  addEventListener(type: string, listener: (event: object) => void): void;
  close(): void;
}

/** An address, a function that makes an `EventSource`, or one that is open. */
export type EventSourceOf = string | URL | EventSourceLike | (() => EventSourceLike);

/** Names of events, each with the function that makes a value of the text of its data. `V`: those values, by name. */
export type EventReaders<V> = { readonly [K in keyof V]: (text: string) => V[K] };

/** An event of a server, by its name. */
export type ReceivedEvent<V> = {
  readonly [K in keyof V]: {
    readonly event: K;
    readonly data: V[K];
    /** The newest id the server has given; empty where it gives none. */
    readonly id: string;
  };
}[keyof V];

/** What is taken from a server. */
export interface EventSourceOptions<V> {
  /** Events by name, and how their data are read; those of other names are passed over. Default: `{ message: JSON.parse }`. */
  readonly events: EventReaders<V>;
}

type Values = Readonly<Record<string, unknown>>;
const closed = 2;

/**
 * Server-sent events as an Observable. Each subscription opens a connection, unsubscribing closes it, and one that is lost is
 * opened again by the `EventSource` itself, from the last event on. It completes with an event `end` and fails with an event
 * `failed`, as {@link toEventSource} sends them, where `events` does not name those; else it goes on until the server refuses.
 * Its errors are STREAM_FAILED, CALLBACK_FAILED for what a reader throws, and INVALID_OPTION where there is no `EventSource`.
 *
 * `source`: an address, for the `EventSource` of the platform or else of the package `eventsource` (`npm install eventsource`); a
 * function that makes one, for headers of yours; or one that is open, for a single subscription.
 *
 * ```ts
 * fromEventSource('/events', { events: { message: (text) => JSON.parse(text) as Progress, limits: Number } });
 * ```
 */
export function fromEventSource(source: EventSourceOf): Observable<ReceivedEvent<{ message: unknown }>>;
export function fromEventSource<V extends Values>(
  source: EventSourceOf,
  options: EventSourceOptions<V>,
): Observable<ReceivedEvent<V>>;
export function fromEventSource(
  source: EventSourceOf,
  options?: EventSourceOptions<Values>,
): Observable<ReceivedEvent<Values>> {
  if (options !== undefined) checked(options, 'fromEventSource()', optionRules);
  const readers = options?.events ?? { message: (text) => JSON.parse(text) as unknown };
  return new Observable<ReceivedEvent<Values>>((subscriber) => {
    const follow = (stream: EventSourceLike): void => {
      subscriber.add(() => stream.close());
      if (!subscriber.closed) listen(stream, readers, subscriber);
    };
    if (typeof source === 'function') follow(callUser('source', source));
    else if (typeof source === 'object' && 'addEventListener' in source) follow(source);
    else open(source).then(follow, (error: unknown) => subscriber.error(error));
  });
}

const optionRules = bag<EventSourceOptions<Values>>(
  'an object of options',
  {
    events: all(
      optionsOf('readers by the name of their event', {}, false),
      each(required(isFunction, 'give a function of a text')),
    ),
  },
  'events',
);

function listen(
  stream: EventSourceLike,
  readers: EventReaders<Values>,
  subscriber: Subscriber<ReceivedEvent<Values>>,
): void {
  for (const [event, read] of Object.entries(readers))
    stream.addEventListener(event, (message) => {
      // One about the connection may have the name of one of the server.
      if (!isMessage(message) || subscriber.closed) return;
      const { data: text, lastEventId: id = '' } = message;
      try {
        subscriber.next({ event, data: callUser(`events.${event}`, () => read(text)), id });
      } catch (error) {
        subscriber.error(error);
      }
    });
  if (!Object.hasOwn(readers, 'end')) stream.addEventListener('end', () => subscriber.complete());
  if (!Object.hasOwn(readers, 'failed'))
    stream.addEventListener('failed', (message) =>
      subscriber.error(failureOf(isMessage(message) ? message.data : '')),
    );
  stream.addEventListener('error', (event) => {
    // While it opens the connection again nothing is lost.
    if (!isMessage(event) && stream.readyState === closed) subscriber.error(refusalOf(event));
  });
}

function isMessage(event: object): event is { readonly data: string; readonly lastEventId?: string } {
  return 'data' in event && typeof event.data === 'string';
}

/** The error for what an event `failed` says. It comes from somebody else. */
function failureOf(text: string): RxhiveError {
  // Another server may say it in words.
  const told = jsonOrText(text);
  const { name, code } = isRecord(told) ? told : {};
  return new RxhiveError('STREAM_FAILED', `The server's stream of events failed: ${messageOf(told)}`, {
    details: {
      ...(typeof name === 'string' && { name: truncate(name) }),
      ...(typeof code === 'string' && { code: truncate(code) }),
    },
  });
}

/** The error for a connection that is not opened again. Browsers do not say why, the package `eventsource` does. */
function refusalOf(event: object): RxhiveError {
  const { code: status, message } = event as { readonly code?: unknown; readonly message?: unknown };
  const why = typeof message === 'string' && message !== '' ? ` (${messageOf(event)})` : '';
  return new RxhiveError(
    'STREAM_FAILED',
    `The server refused a stream of events${why}; check address, status and content type of its answer.`,
    { details: typeof status === 'number' ? { status } : {} },
  );
}

type Maker = new (address: string | URL) => EventSourceLike;

async function open(address: string | URL): Promise<EventSourceLike> {
  const own = (globalThis as { readonly EventSource?: Maker }).EventSource;
  if (own !== undefined) return new own(address);
  const { EventSource } = await peer<{ readonly EventSource: Maker }>('eventsource', 'fromEventSource()');
  return new EventSource(address);
}
