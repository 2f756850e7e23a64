import type { IncomingMessage } from 'node:http';

/** Calls `then` with the whole body of a request; one of more than `most` characters is cut off and never answered. */
export function requestText(request: IncomingMessage, most: number, then: (text: string) => void): void {
  let text = '';
  request.setEncoding('utf8');
  request.on('data', (chunk: string) => {
    text += chunk;
    if (text.length > most) request.destroy();
  });
  request.on('end', () => then(text));
}
