import type { Observable, Subscription } from 'rxjs';
import type { Clock, Timer } from '../kernel/clock.js';
import { LimitExceededError } from '../kernel/errors.js';
import { Fifo } from '../kernel/fifo.js';
import { EventBuffer, type FoundEvent, type StreamEnd } from './event-buffer.js';
import { comment, eventText } from './event-text.js';

/** Where the bytes for one client go. */
export interface Outlet {
  /** False: it is full; the reader is told with `drained` when it is not any more. */
  write(text: string): boolean;
  end(): void;
}

/** How a feed treats its clients. */
export interface FeedOptions {
  /** Events kept. */
  readonly capacity: number;
  /** What becomes of a client that is more events behind than that. */
  readonly onFull: 'error' | 'drop-oldest' | 'drop-newest';
  /** Stands before the number of each event in its id, so that ids of another feed are not taken for its own. */
  readonly tag: string;
  /** Ms between two comments for those who hear nothing; undefined: none. */
  readonly heartbeat?: number | undefined;
  readonly clock: Clock;
  /** The text of the last event. */
  readonly endText: (end: StreamEnd) => string;
  /** Called when a client has come or left. */
  readonly onClients?: () => void;
}

/**
 * Events of one stream as server-sent events for any number of clients. Each reads at its own pace and is not written to
 * faster; who comes back with the id of what it has heard last goes on after it.
 */
export class EventFeed {
  readonly #options: FeedOptions;
  readonly #readers = new Set<FeedReader>();
  readonly #buffer: EventBuffer;
  #beat: Timer | undefined;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#buffer = new EventBuffer(options.capacity, () => {
      for (const reader of this.#readers) reader.wake();
    });
  }

  get clients(): number {
    return this.#readers.size;
  }

  /** Has the stream said all? */
  get ended(): boolean {
    return this.#buffer.end !== undefined;
  }

  /** Follows a stream of texts of {@link eventText}, after those that are there. */
  take(events$: Observable<string>): Subscription {
    return this.#buffer.take(events$);
  }

  /** Has the client with this id heard all, the end too? */
  heardAll(lastId: string | undefined): boolean {
    return lastId === endIdOf(this.#options);
  }

  /** Takes a client in. `lastId`: the id of what it has heard last. */
  join(outlet: Outlet, lastId?: string): FeedReader {
    const reader = new FeedReader(this.#buffer, this.#options, outlet, lastId, () => this.#leave(reader));
    this.#readers.add(reader);
    this.#options.onClients?.();
    this.#listen();
    reader.wake();
    return reader;
  }

  /** Tells every client that is not behind something that has no place among the events. */
  send(text: string): void {
    for (const reader of this.#readers) reader.tell(text);
  }

  /** Ends all connections. */
  close(): void {
    for (const reader of [...this.#readers]) reader.end();
  }

  #leave(reader: FeedReader): void {
    if (!this.#readers.delete(reader)) return;
    if (this.#readers.size === 0) {
      this.#options.clock.cancel(this.#beat);
      this.#beat = undefined;
    }
    this.#options.onClients?.();
  }

  #listen(): void {
    const { heartbeat, clock } = this.#options;
    if (heartbeat === undefined || this.#readers.size === 0) return;
    this.#beat ??= clock.after(heartbeat, () => {
      this.#beat = undefined;
      this.send(comment);
      this.#listen();
    });
  }
}

/** One client. */
export class FeedReader {
  readonly #buffer: EventBuffer;
  readonly #options: FeedOptions;
  readonly #outlet: Outlet;
  readonly #left: () => void;
  #at: number;
  /** Has it heard anything that is kept? Before, it is new rather than slow. */
  #isNew: boolean;
  /** It had ids of another feed: what it has missed nobody knows. */
  #isStranger: boolean;
  #isFull = false;
  #hasLeft = false;
  /** With `drop-newest`: what it is to hear next, though others may have heard more than is kept. */
  readonly #waiting = new Fifo<FoundEvent>();
  /** Events it missed behind those. */
  #missed = 0;

  constructor(
    buffer: EventBuffer,
    options: FeedOptions,
    outlet: Outlet,
    lastId: string | undefined,
    left: () => void,
  ) {
    this.#buffer = buffer;
    this.#options = options;
    this.#outlet = outlet;
    this.#left = left;
    const last = numberOf(lastId, options.tag);
    const isKnown = last !== undefined && last < buffer.next;
    this.#at = isKnown ? last + 1 : 0;
    this.#isNew = !isKnown;
    this.#isStranger = lastId !== undefined && lastId !== '' && !isKnown;
  }

  /** Writes what is there, as far as it is taken. */
  wake(): void {
    const { onFull, tag } = this.#options;
    while (!this.#isFull && !this.#hasLeft) {
      const found = this.#waiting.shift() ?? this.#next();
      if (found === undefined) break;
      if (found.lost > 0 && !this.#isNew && onFull === 'error') {
        this.#tooSlow();
        return;
      }
      if (this.#isStranger) this.#outlet.write(`${eventText('null', 'dropped')}\n`);
      else this.#tellLost(found.lost);
      this.#isStranger = false;
      this.#isNew = false;
      this.#isFull = !this.#outlet.write(`id: ${tag}${found.at}\n${found.event}\n`);
    }
    if (onFull === 'drop-newest') this.#hold();
    const { end } = this.#buffer;
    if (end === undefined || this.#isFull || this.#hasLeft) return;
    this.#tellLost(this.#missed);
    this.#finish(this.#options.endText(end));
  }

  /** The next event that is kept. */
  #next(): FoundEvent | undefined {
    const found = this.#buffer.read(this.#at);
    if (found === undefined) return undefined;
    this.#at = found.at + 1;
    const lost = found.lost + this.#missed;
    this.#missed = 0;
    return { ...found, lost };
  }

  /** Holds what it cannot be written yet, as far as there is room. */
  #hold(): void {
    while (this.#waiting.size < this.#options.capacity) {
      const found = this.#next();
      if (found === undefined) return;
      this.#waiting.push(found);
    }
    this.#missed += this.#buffer.next - this.#at;
    this.#at = this.#buffer.next;
  }

  #tellLost(events: number): void {
    if (events > 0) this.#outlet.write(`${eventText(String(events), 'dropped')}\n`);
  }

  /** There is room again. */
  drained(): void {
    this.#isFull = false;
    this.wake();
  }

  /** Says something without an id, where that does not have to wait. */
  tell(text: string): void {
    if (!this.#isFull && !this.#hasLeft) this.#isFull = !this.#outlet.write(text);
  }

  /** The client is not there any more. */
  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#left();
  }

  /** Ends the connection; the client may come back. */
  end(): void {
    if (this.#hasLeft) return;
    this.leave();
    this.#outlet.end();
  }

  #tooSlow(): void {
    const { capacity } = this.#options;
    const message = `A client was more than ${capacity} events behind; raise capacity, or set onFull to "drop-oldest" or "drop-newest".`;
    this.#finish(this.#options.endText({ error: new LimitExceededError('capacity', capacity, message) }));
  }

  #finish(text: string): void {
    this.#outlet.write(`id: ${endIdOf(this.#options)}\n${text}\n`);
    this.end();
  }
}

/** The id of the last event. */
function endIdOf({ tag }: FeedOptions): string {
  return `${tag}end`;
}

/** The number in an id of this feed. */
function numberOf(id: string | undefined, tag: string): number | undefined {
  if (id === undefined || !id.startsWith(tag)) return undefined;
  const digits = id.slice(tag.length);
  return /^\d{1,15}$/.test(digits) ? Number(digits) : undefined;
}
