import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { from, map, NEVER, Observable, of, Subject, throwError } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { RxhiveError, workflow } from '../../lib/index.js';
import { Clock } from '../../lib/kernel/clock.js';
import { EventFeed } from '../../lib/streams/event-feed.js';
import { eventText } from '../../lib/streams/event-text.js';
import { type EventStream, toEventSource } from '../../lib/streams/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

/** An event as it came over the wire. */
interface Heard {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** What a browser makes of a text, by the rules of the specification: fields of one line each, an empty line ends an event. */
function heard(text: string): Heard[] {
  return text
    .split('\n\n')
    .map((block) => block.split(/\r\n|\r|\n/).map((line) => /^([^:]*):? ?(.*)$/s.exec(line)))
    .map((lines) => {
      const of = (name: string): string[] =>
        lines.flatMap((line) => (line?.[1] === name ? [line[2] ?? ''] : []));
      return { id: of('id').at(-1) ?? '', event: of('event').at(-1) ?? 'message', data: of('data') };
    })
    .filter(({ data }) => data.length > 0)
    .map((one) => ({ ...one, data: one.data.join('\n') }));
}

const readAll = async (answer: Response): Promise<Heard[]> => heard(await answer.text());

const returning = (id: string): Request =>
  new Request('http://localhost/', { headers: { 'last-event-id': id } });

/** Data of the messages. */
const messages = (events: readonly Heard[]): unknown[] =>
  events.filter(({ event }) => event === 'message').map(({ data }) => JSON.parse(data));

/** A reader that is asked for one chunk after the other. */
function reading(answer: Response): { next(): Promise<string | undefined>; leave(): Promise<void> } {
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
  return {
    next: async () => {
      const { value } = await reader.read();
      return value === undefined ? undefined : new TextDecoder().decode(value);
    },
    leave: () => reader.cancel(),
  };
}

async function refused(make: () => unknown): Promise<void> {
  try {
    make();
  } catch (error) {
    assert.is((error as RxhiveError).code, 'INVALID_OPTION');
    return;
  }
  assert.unreachable();
}

test('a run is sent as its events, from its start to an event that says it has ended', async () => {
  const flow = workflow({ name: 'two' });
  const a = flow.task('a', { run: () => 1 });
  flow.task('b', { dependencies: { a }, run: ({ a }) => a + 1 });
  const run = flow.run();
  const events = toEventSource(run);
  const [result, all] = await Promise.all([run.result(), readAll(events.response())]);
  assert.is(result.status, 'succeeded');
  const told = messages(all) as { type: string; reason: string; seq: number }[];
  assert.equal([told[0]?.type, told[0]?.reason], ['run', 'started']);
  assert.equal([told.at(-1)?.type, told.at(-1)?.reason], ['run', 'ended']);
  assert.equal(
    told.map(({ seq }) => seq),
    told.map((_, i) => i + 1),
  );
  assert.is(all.at(-1)?.event, 'end');
});

test('a client that comes back goes on after what it has heard, whenever it left', async () => {
  const values = Array.from({ length: 20 }, (_, i) => i);
  const events = toEventSource(from(values));
  const all = await readAll(events.response());
  assert.equal(messages(all), values);
  for (const [i, { id }] of all.slice(0, -1).entries()) {
    const again = await readAll(events.response(returning(id)));
    assert.equal(messages(again), values.slice(i + 1));
  }
  const answer = events.response(returning(all.at(-1)?.id as string));
  assert.is(answer.status, 204, 'who has heard the end is told not to come back');
});

test('who was too long away is told how much it has missed, and a stranger that nobody knows', async () => {
  const source = new Subject<number>();
  const events = toEventSource(source, { capacity: 10 });
  const client = reading(events.response());
  await client.next();
  source.next(0);
  const id = heard((await client.next()) as string)[0]?.id as string;
  await client.leave();
  assert.is(events.clients, 0);
  for (let i = 1; i <= 100; i++) source.next(i);
  source.complete();
  const again = await readAll(events.response(returning(id)));
  assert.is(again[0]?.event, 'dropped');
  const kept = messages(again) as number[];
  assert.is(Number(again[0]?.data), 100 - kept.length);
  assert.ok(kept.length >= 10 && kept.length <= 11 && kept.at(-1) === 100, String(kept));
  const stranger = await readAll(events.response(returning('0a1b2c3d.5')));
  assert.equal([stranger[0]?.event, stranger[0]?.data], ['dropped', 'null']);
  assert.equal(messages(stranger), kept);
});

test('onFull error: a client that is too far behind is told so, and not to come back', async () => {
  const source = new Subject<string>();
  const events = toEventSource(source, { capacity: 5, onFull: 'error' });
  const client = reading(events.response());
  source.next('x'.repeat(19_000));
  for (let i = 0; i < 50; i++) source.next(`${i}`);
  let text = '';
  for (let chunk = await client.next(); chunk !== undefined; chunk = await client.next()) text += chunk;
  const all = heard(text);
  const last = all.at(-1) as Heard;
  assert.is(last.event, 'failed');
  assert.is(JSON.parse(last.data).code, 'LIMIT_EXCEEDED');
  assert.is(events.response(returning(last.id)).status, 204);
  assert.is(events.clients, 0);
});

test('drop-newest: a client that is too far behind hears what it waited for, and misses the newest', () => {
  /** What a client of a feed hears that takes so many events at a time. */
  const play = (steps: readonly number[], capacity: number): string[] => {
    const source = new Subject<string>();
    const clock = new Clock({ scheduler: new SimulationScheduler() });
    const feed = new EventFeed({
      capacity,
      onFull: 'drop-newest',
      tag: '',
      clock,
      endText: () => eventText('', 'end'),
    });
    feed.take(source.pipe(map((text) => eventText(text))));
    let room = 0;
    let text = '';
    const write = (more: string): boolean => {
      text += more;
      if (more.startsWith('id:')) room -= 1;
      return room > 0;
    };
    const reader = feed.join({ write, end: () => undefined });
    const others = feed.join({ write: () => true, end: () => undefined });
    let said = 0;
    for (const step of steps)
      if (step > 0) for (let i = 0; i < step; i++) source.next(`${said++}`);
      else {
        room = -step;
        reader.drained();
      }
    source.complete();
    room = Number.POSITIVE_INFINITY;
    reader.drained();
    others.leave();
    return heard(text).map(({ event, data }) => (event === 'message' ? data : `${event} ${data}`));
  };
  // The first is written at once; five wait, and of what comes then the reader hears how much it was.
  assert.equal(play([1, 50], 5), ['0', '1', '2', '3', '4', '5', 'dropped 45', 'end ']);
  assert.equal(play([1, 8, -2, 3], 5), [
    '0',
    '1',
    '2',
    '3',
    '4',
    '5',
    'dropped 3',
    '9',
    '10',
    'dropped 1',
    'end ',
  ]);
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -8, max: 8 }).filter((n) => n !== 0)),
      fc.integer({ min: 1, max: 6 }),
      (steps, capacity) => {
        // The model: a row of its own for the client.
        const expected: string[] = [];
        const row: string[] = [];
        let room = 1;
        let missed = 0;
        let said = 0;
        const drain = (): void => {
          for (; room > 0 && row.length > 0; room--) {
            const first = row.shift() as string;
            expected.push(...(first.startsWith('dropped') ? [first, row.shift() as string] : [first]));
          }
        };
        const waiting = (): number => row.filter((one) => !one.startsWith('dropped')).length;
        for (const step of steps)
          if (step < 0) {
            room = -step;
            drain();
          } else
            for (let i = 0; i < step; i++, said++) {
              if (room === 0 && waiting() >= capacity) {
                missed += 1;
                continue;
              }
              if (missed > 0) row.push(`dropped ${missed}`);
              missed = 0;
              row.push(`${said}`);
              drain();
            }
        expected.push(...row, ...(missed > 0 ? [`dropped ${missed}`] : []), 'end ');
        assert.equal(play(steps, capacity), expected);
      },
    ),
    { numRuns: 500 },
  );
});

test('a client that does not read is not written to: others get all, and it gets the newest later', async () => {
  const source = new Subject<string>();
  const events = toEventSource(source, { capacity: 10 });
  const slow = reading(events.response());
  const fast = reading(events.response());
  await fast.next();
  const many = 2_000;
  for (let i = 0; i < many; i++) {
    source.next(`${i} ${'x'.repeat(1_000)}`);
    assert.match((await fast.next()) as string, `"${i} `);
  }
  source.complete();
  let text = '';
  for (let chunk = await slow.next(); chunk !== undefined; chunk = await slow.next()) text += chunk;
  const all = heard(text);
  const got = all.filter(({ event }) => event === 'message').length;
  assert.ok(got < 40, `${got} of ${many} were held for it`);
  assert.is(Number(all.find(({ event }) => event === 'dropped')?.data), many - got);
  assert.is(all.at(-1)?.event, 'end');
});

test('no value, name or error can begin an event of its own', async () => {
  const names = fc.string({ unit: fc.constantFrom('a', ':', ' ', '\n', '\r', 'event: x') });
  await fc.assert(
    fc.asyncProperty(fc.array(names, { maxLength: 5 }), fc.boolean(), async (texts, raw) => {
      const events = toEventSource(from(texts), raw ? { data: (text) => text } : {});
      const all = await readAll(events.response());
      assert.is(all.length, texts.length + 1);
      const lines = (text: string): string => text.replaceAll(/\r\n|\r/g, '\n');
      for (const [i, text] of texts.entries()) {
        assert.is(all[i]?.event, 'message');
        if (raw) assert.is(all[i]?.data, lines(text));
        else assert.is(JSON.parse(all[i]?.data as string), text);
      }
    }),
  );
  for (const name of ['a\nevent: b', 'a\rb', 'a\0', '', 'end', 'failed', 'dropped', 3 as never]) {
    const all = await readAll(toEventSource(of(1), { event: () => name }).response());
    assert.equal(
      all.map(({ event }) => event),
      ['failed'],
    );
    assert.is(JSON.parse(all[0]?.data as string).code, 'CALLBACK_FAILED');
  }
  const named = await readAll(
    toEventSource(of(1, 2), { event: (n) => (n === 1 ? 'tick' : undefined) }).response(),
  );
  assert.equal(
    named.map(({ event }) => event),
    ['tick', 'message', 'end'],
  );
});

test('an error is an event with its code, without stack and secrets', async () => {
  const secret = `sk-${'a1B2'.repeat(12)}`;
  const error = new RxhiveError('STORE_FAILED', `The key ${secret} is wrong.`);
  const [last] = await readAll(toEventSource(throwError(() => error)).response());
  assert.is(last?.event, 'failed');
  const told = JSON.parse(last?.data as string);
  assert.is(told.code, 'STORE_FAILED');
  assert.is(told.stack, undefined);
  assert.not.match(last?.data as string, secret);
  const [value] = await readAll(
    toEventSource(of({ apiKey: secret, text: secret, mine: 'hush' }), {
      redact: { keys: ['mine'] },
    }).response(),
  );
  assert.not.match(value?.data as string, new RegExp(`${secret}|hush`));
});

test('who hears nothing gets comments, none while it does not read, and none when all have left', async () => {
  const scheduler = new SimulationScheduler();
  const events = toEventSource(NEVER, { scheduler, linger: Number.POSITIVE_INFINITY });
  const client = reading(events.response());
  assert.is(await client.next(), 'retry: 3000\n\n');
  await advance(scheduler, 45_000);
  for (let i = 0; i < 3; i++) assert.is(await client.next(), ':\n\n');
  await client.leave();
  assert.is(scheduler.nextAt, Number.POSITIVE_INFINITY);
});

test('a source is left when no client has been there for a while, and one that comes later begins anew', async () => {
  const scheduler = new SimulationScheduler();
  let subscribed = 0;
  let left = 0;
  const source = new Observable<string>((subscriber) => {
    subscribed += 1;
    subscriber.next(`pass ${subscribed}`);
    return () => {
      left += 1;
    };
  });
  const events = toEventSource(source, { scheduler, linger: 1_000, heartbeat: false });
  const enter = (id?: string): ReturnType<typeof reading> =>
    reading(events.response(id === undefined ? undefined : returning(id)));
  await advance(scheduler, 900);
  const client = enter();
  await advance(scheduler, 5_000);
  assert.equal([subscribed, left], [1, 0], 'it is there for a client');
  await client.next();
  const [{ id = '' } = {}] = heard((await client.next()) as string);
  await client.leave();
  await advance(scheduler, 5_900);
  const back = enter(id);
  await advance(scheduler, 9_000);
  assert.equal([subscribed, left], [1, 0], 'it has come back in time');
  await back.leave();
  await advance(scheduler, 10_000);
  assert.equal([subscribed, left], [1, 1]);
  const late = enter(id);
  assert.is(subscribed, 2);
  await late.next();
  assert.equal(heard((await late.next()) as string)[0]?.event, 'dropped');
  assert.equal(messages(heard((await late.next()) as string)), ['pass 2']);
  events.close();
  assert.is(await late.next(), undefined);
  assert.equal([subscribed, left, events.clients], [2, 2, 0]);
  assert.is(events.response().status, 204);
  assert.is(scheduler.nextAt, Number.POSITIVE_INFINITY);
});

test('a process with nothing else to do waits neither for clients nor to tell them that it is there', async () => {
  /** Timers that keep it. */
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const events = toEventSource(NEVER);
  assert.is(timers(), before);
  const client = reading(events.response());
  assert.is(timers(), before);
  await client.leave();
  assert.is(timers(), before);
  events.close();
});

test('a run that is left is cancelled with cancel, or when nobody else watches it', async () => {
  for (const [cancel, isWatched, status] of [
    [true, true, 'cancelled'],
    [false, false, 'cancelled'],
    [false, true, 'succeeded'],
  ] as const) {
    const scheduler = new SimulationScheduler();
    const flow = workflow({ name: 'long' });
    let aborted = false;
    flow.task('long', {
      run: async (_, ctx) => {
        ctx.signal.addEventListener('abort', () => {
          aborted = true;
        });
        await ctx.sleep(60_000);
      },
    });
    const run = flow.run({ scheduler });
    const result = isWatched ? run.result() : undefined;
    const events = toEventSource(run, { scheduler, cancel, linger: 500, heartbeat: false });
    const client = reading(events.response());
    await advance(scheduler, 100);
    await client.leave();
    await advance(scheduler);
    assert.is(aborted, status === 'cancelled');
    if (result !== undefined) assert.is((await result).status, status);
  }
});

test('wrong options are refused', async () => {
  for (const wrong of [
    { capacity: 0 },
    { onFull: 'drop' as never },
    { retry: -1 },
    { heartbeat: 0 },
    { linger: -1 },
    { event: 'tick' as never },
    { cancel: true },
  ])
    await refused(() => toEventSource(NEVER, wrong));
});

/** A server on loopback that serves a stream to whoever asks. */
async function serving(events: EventStream): Promise<{ readonly server: Server; readonly url: string }> {
  const server = createServer((request, response) => events.serve(request, response));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}

const answerOf = (url: string, headers: Record<string, string> = {}): Promise<IncomingMessage> =>
  new Promise((done, fail) => get(url, { headers, agent: false }, done).on('error', fail));

test('over node:http it has the headers that proxies need, goes on where a client was, and hears it leave', async () => {
  const source = new Subject<number>();
  const events = toEventSource(source);
  const { server, url } = await serving(events);
  const answer = await answerOf(url);
  assert.is(answer.headers['content-type'], 'text/event-stream; charset=utf-8');
  assert.match(answer.headers['cache-control'] as string, 'no-transform');
  let text = '';
  answer.setEncoding('utf8');
  const until = (part: string): Promise<void> =>
    new Promise((done) => {
      const look = (chunk = ''): void => {
        text += chunk;
        if (text.includes(part)) done();
      };
      answer.on('data', look);
      look();
    });
  for (let i = 0; i < 3; i++) source.next(i);
  await until('data: 2\n\n');
  answer.destroy();
  while (events.clients > 0) await new Promise((done) => setImmediate(done));
  source.next(3);
  source.complete();
  const second = heard(text)[1]?.id as string;
  const rest = await fetch(url, { headers: { 'last-event-id': second } });
  const all = heard(await rest.text());
  assert.equal(messages(all), [2, 3]);
  assert.is((await fetch(url, { headers: { 'last-event-id': all.at(-1)?.id as string } })).status, 204);
  server.close();
});

test('over node:http a client that does not read costs no more than what is kept', async () => {
  const source = new Subject<string>();
  const events = toEventSource(source, { capacity: 10 });
  const { server, url } = await serving(events);
  const answer = await answerOf(url);
  // Far more than the buffers of both sockets take.
  const value = 'x'.repeat(100_000);
  const many = 1_000;
  for (let i = 0; i < many; i++) {
    source.next(value);
    await new Promise((done) => setImmediate(done));
  }
  source.complete();
  let text = '';
  answer.setEncoding('utf8');
  for await (const chunk of answer) text += chunk;
  const all = heard(text);
  const got = all.filter(({ event }) => event === 'message').length;
  assert.ok(got < many, 'nothing was dropped');
  const dropped = all.filter(({ event }) => event === 'dropped').map(({ data }) => Number(data));
  assert.is(
    dropped.reduce((sum, one) => sum + one, got),
    many,
  );
  assert.is(all.at(-1)?.event, 'end');
  server.close();
});

test.run();
