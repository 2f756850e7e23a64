export { type EventStream, type EventStreamOptions, toEventSource } from './event-stream.js';
