import type { MessageEvent } from '../model/event.js';

/** What a task said to others, or heard, as a line among its messages. */
export function talked({ at, reason, channel, messageId, value }: MessageEvent): {
  readonly at: number;
  readonly message: string;
  readonly data?: unknown;
} {
  const message = {
    sent: `says on ${channel}`,
    asked: `asks ${String(channel).slice(1)}`,
    replied: `answers ${messageId}`,
    received: `hears ${messageId}`,
    dropped: `misses ${messageId}`,
    repeated: `says ${messageId} again`,
  }[reason];
  return { at, message: message ?? `${reason} ${messageId}`, ...(value !== undefined && { data: value }) };
}
