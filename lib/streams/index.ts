export type { WaitingOptions } from '../model/waiting.js';
export { toAsyncIterable, toReadableStream } from './async-iterable.js';
export { type EventStream, type EventStreamOptions, toEventSource } from './event-stream.js';
export {
  type EventReaders,
  type EventSourceLike,
  type EventSourceOf,
  type EventSourceOptions,
  fromEventSource,
  type ReceivedEvent,
} from './from-event-source.js';
