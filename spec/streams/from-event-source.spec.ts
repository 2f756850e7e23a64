import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EventSource } from 'eventsource';
import { firstValueFrom, from, lastValueFrom, Subject, take, throwError, toArray } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { RxhiveError, type WorkflowEvent, workflow } from '../../lib/index.js';
import { type EventSourceLike, fromEventSource, toEventSource } from '../../lib/streams/index.js';

const servers: Server[] = [];
test.after(() => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});

/** A server on loopback. */
async function serving(answer: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(answer as never);
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** One that is told what to say. */
function script(): EventSourceLike & {
  say(type: string, event?: object): void;
  closes: number;
  readyState: number;
} {
  const listeners: [string, (event: object) => void][] = [];
  return {
    readyState: 1,
    closes: 0,
    addEventListener: (type, listener) => void listeners.push([type, listener]),
    close() {
      this.closes += 1;
    },
    say: (type, event = {}) => {
      for (const [of, listener] of listeners) if (of === type) listener({ type, ...event });
    },
  };
}

const codeOf = (error: unknown): string => (error instanceof RxhiveError ? error.code : String(error));

test('a run is followed from another process: typed events, to its end', async () => {
  const flow = workflow({ name: 'far' });
  flow.task('a', { run: () => 'text' });
  const events = toEventSource(flow.run());
  const url = await serving((request, response) => events.serve(request, response));
  const told = await lastValueFrom(
    fromEventSource(url, { events: { message: (text) => JSON.parse(text) as WorkflowEvent } }).pipe(
      toArray(),
    ),
  );
  const last: WorkflowEvent | undefined = told.at(-1)?.data;
  assert.equal([told[0]?.data.reason, last?.reason], ['started', 'ended']);
  assert.is(events.clients, 0);
});

test('events have types of their own, by name', async () => {
  const events = toEventSource(from([1, 2, 3]), { event: (n) => (n === 2 ? 'even' : undefined) });
  const url = await serving((request, response) => events.serve(request, response));
  const told = await lastValueFrom(
    fromEventSource(new URL(url), { events: { message: Number, even: (text) => ({ text }) } }).pipe(
      toArray(),
    ),
  );
  const types = told.map((one): number | { text: string } => (one.event === 'even' ? one.data : one.data));
  assert.equal(types, [1, { text: '2' }, 3]);
});

test('a lost connection is opened again, and nothing comes twice or is missing', async () => {
  const source = new Subject<number>();
  const events = toEventSource(source, { retry: 1 });
  const connections: ServerResponse[] = [];
  const url = await serving((request, response) => {
    connections.push(response);
    events.serve(request, response);
  });
  const got: unknown[] = [];
  const done = new Promise<void>((complete, fail) =>
    fromEventSource(url).subscribe({
      next: ({ data }) => {
        got.push(data);
        // The socket breaks after every third value.
        if (got.length % 3 === 0) connections.at(-1)?.destroy();
        if (got.length === 10) source.complete();
        else source.next(got.length);
      },
      error: fail,
      complete,
    }),
  );
  source.next(0);
  await done;
  assert.equal(got, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.is(connections.length, 4);
});

test('unsubscribing closes the connection', async () => {
  const source = new Subject<number>();
  const events = toEventSource(source);
  const url = await serving((request, response) => events.serve(request, response));
  const first = firstValueFrom(fromEventSource(url));
  source.next(1);
  assert.is((await first).data, 1);
  while (events.clients > 0) await new Promise((done) => setImmediate(done));
  const stream = script();
  fromEventSource(stream).subscribe().unsubscribe();
  assert.is(stream.closes, 1);
  let made = 0;
  const one$ = fromEventSource(() => {
    made += 1;
    return stream;
  });
  one$.subscribe().unsubscribe();
  one$.subscribe().unsubscribe();
  assert.equal([made, stream.closes], [2, 3]);
});

test('what goes wrong has a code: refused by the server, failed over there, unreadable here', async () => {
  const error = new RxhiveError('STORE_FAILED', 'The disk is full.');
  const events = toEventSource(throwError(() => error));
  const url = await serving((request, response) => {
    if (request.url === '/gone') response.writeHead(404).end();
    else events.serve(request, response);
  });
  const failure = (of: Parameters<typeof fromEventSource>[0]): Promise<RxhiveError> =>
    lastValueFrom(fromEventSource(of)).then(
      () => new RxhiveError('RUN_ENDED', 'It did not fail.'),
      (error: unknown) => error as RxhiveError,
    );
  const gone = await failure(`${url}gone`);
  assert.equal([gone.code, gone.details.status], ['STREAM_FAILED', 404]);
  const failed = await failure(url);
  assert.equal([failed.code, failed.details.code], ['STREAM_FAILED', 'STORE_FAILED']);
  assert.match(failed.message, 'failed: The disk is full.');
  assert.is(failed.message.match(/See http/g)?.length, 1);
  const unreadable = new EventSource(
    await serving((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: {\n\n');
    }),
  );
  assert.is((await failure(unreadable)).code, 'CALLBACK_FAILED');
  for (const wrong of [{ events: { message: 3 } }, { event: {} }, { events: [] }])
    try {
      fromEventSource(url, wrong as never);
      assert.unreachable();
    } catch (refusal) {
      assert.is(codeOf(refusal), 'INVALID_OPTION');
    }
});

test('an event named error is no lost connection, and own names may be heard as values', () => {
  const stream = script();
  const got: unknown[] = [];
  let ended = '';
  fromEventSource(stream, { events: { error: String, end: String, failed: String } }).subscribe({
    next: ({ event, data }) => got.push(`${event} ${data}`),
    error: (error: unknown) => {
      ended = codeOf(error);
    },
  });
  stream.readyState = 0;
  stream.say('error');
  stream.readyState = 1;
  stream.say('error', { data: 'one' });
  stream.say('end', { data: 'two' });
  stream.say('failed', { data: 'three' });
  assert.equal([got, ended], [['error one', 'end two', 'failed three'], '']);
  stream.readyState = 2;
  stream.say('error');
  assert.equal([ended, stream.closes], ['STREAM_FAILED', 1]);
});

test('what a foreign server says of its failure is shown shortened and harmless', () => {
  for (const data of ['no JSON \u001b[31m', '{"message": 3}', '[]', 'null', `"${'x'.repeat(5_000)}"`]) {
    const stream = script();
    let message = '';
    fromEventSource(stream).subscribe({
      error: (error: Error) => {
        message = error.message;
      },
    });
    stream.say('failed', { data });
    assert.match(message, /^The server's stream of events failed: /);
    assert.ok(message.length < 2_200 && !message.includes('\u001b'), message);
  }
});

test('take(1) of one that is opened later leaves nothing open', async () => {
  const source = new Subject<number>();
  const events = toEventSource(source);
  const url = await serving((request, response) => events.serve(request, response));
  const left = fromEventSource(url).pipe(take(1)).subscribe();
  left.unsubscribe();
  for (let i = 0; i < 20; i++) await new Promise((done) => setImmediate(done));
  assert.is(events.clients, 0);
});

test.run();
