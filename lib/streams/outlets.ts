import type { IncomingMessage, ServerResponse } from 'node:http';
import type { EventFeed, FeedReader } from './event-feed.js';

/** What a stream of server-sent events is sent with. */
export const streamHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  // Who compresses would wait for more; nginx would too.
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
  'x-content-type-options': 'nosniff',
} as const;

/** Sends a feed to a client that has its headers. */
export function nodeOutlet(feed: EventFeed, request: IncomingMessage, response: ServerResponse): void {
  const lastId = request.headers['last-event-id'];
  const reader = feed.join(
    { write: (text) => response.write(text), end: () => response.end() },
    typeof lastId === 'string' ? lastId : undefined,
  );
  response.on('drain', () => reader.drained());
  response.on('close', () => reader.leave());
  response.on('error', () => reader.leave());
}

/** Bytes of a feed, as fast as they are read. */
export function webBody(feed: EventFeed, greeting: string, lastId?: string): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let reader: FeedReader | undefined;
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        const write = (text: string): boolean => {
          controller.enqueue(encoder.encode(text));
          return (controller.desiredSize ?? 0) > 0;
        };
        write(greeting);
        reader = feed.join({ write, end: () => controller.close() }, lastId);
      },
      pull: () => reader?.drained(),
      cancel: () => reader?.leave(),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: 16_384 }),
  );
}
