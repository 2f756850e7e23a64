// A run on a page, as server-sent events over node:http. Its connection breaks once, and the page goes on where it was. A client
// in this process stands for the page; `npm run example -- 20 open` waits for a browser of yours.

import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { workflow } from '../lib/index.js';
import { type EventStream, fromEventSource, toEventSource } from '../lib/streams/index.js';

const page = `<!doctype html><meta charset="utf-8"><title>A run</title><p></p><script>
  const events = new EventSource('/events');
  const show = (text) => document.querySelector('p').append(text, ' ');
  events.addEventListener('value', ({ data }) => show(JSON.parse(data).value));
  events.addEventListener('end', () => { events.close(); show('(the end)'); });
</script>`;

const flow = workflow({ name: 'story' });
const outline = flow.task('outline', { run: async () => 'Bees live in hives and make honey .'.split(' ') });
flow.task('write', {
  dependencies: { outline },
  run: async function* ({ outline }) {
    for (const word of outline) {
      await pause(20);
      yield word;
    }
  },
});

let events: EventStream | undefined;
const connections: ServerResponse[] = [];
const server = createServer((request, response) => {
  if (request.url !== '/events') {
    response.setHeader('content-type', 'text/html').end(page);
    return;
  }
  connections.push(response);
  // The first who asks starts the run, and comes back 5 ms after its connection has broken.
  events ??= toEventSource(flow.run(), { event: ({ type }) => type, retry: 5 });
  events.serve(request, response);
});
await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

if (process.argv[2] === 'open') console.log(`Open ${url}; Ctrl-C ends this.`);
else {
  const words: string[] = [];
  fromEventSource(`${url}events`, {
    events: { value: (text) => JSON.parse(text).value as string },
  }).subscribe({
    next: ({ data }) => {
      words.push(data);
      if (words.length === 3) connections[0]?.destroy();
    },
    complete: () => {
      console.log(`${words.join(' ')}\n${words.length} words over ${connections.length} connections`);
      server.close();
    },
  });
}
