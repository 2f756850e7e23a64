import { concatMap, firstValueFrom, lastValueFrom, map, of, takeUntil, timer, toArray } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ChannelOptions } from '../../lib/entry/agents.js';
import {
  AgentTask,
  channel,
  eventLines,
  human,
  type Message,
  memory,
  type RxhiveError,
  type StandardSchema,
  typed,
  type Workflow,
  WorkflowOrchestrator,
  workflow,
} from '../../lib/index.js';
import { advance, SimulationScheduler, simulate } from '../../lib/testing/index.js';
import { told } from '../support/told.js';

const said = channel<string>('said');

const values = <T>(messages: readonly Message<T>[]): T[] => messages.map(({ value }) => value);

/** Reads until its senders have ended. */
async function all<T>(messages: AsyncIterable<Message<T>>): Promise<Message<T>[]> {
  const list: Message<T>[] = [];
  for await (const message of messages) list.push(message);
  return list;
}

const codeOf = (error: unknown): string | undefined => (error as RxhiveError | undefined)?.code;

test('two agents talk while both run, with one slot: each message once, in order, to all who read', async () => {
  const flow = workflow({ name: 'talk', concurrency: 1 });
  const pro = flow.task('pro', {
    run: async (_, ctx) => {
      await ctx.send(said, 'one');
      const heard = [await ctx.receive(said)];
      await ctx.sleep(10);
      await ctx.send(said, 'three');
      heard.push(await ctx.receive(said));
      return values(heard);
    },
  });
  const con = flow.task('con', {
    run: async (_, ctx) => {
      const heard: string[] = [];
      for await (const { value } of ctx.receive$(said)) {
        heard.push(value);
        await ctx.sleep(5);
        await ctx.send(said, value === 'one' ? 'two' : 'four');
        if (value === 'three') break;
      }
      return heard;
    },
  });
  // Starts last, with all other slots taken before: it misses nothing.
  const judge = flow.task('judge', {
    priority: -1,
    run: (_, ctx) =>
      ctx.receive$(said, { from: [pro, 'con'] }).pipe(
        map(({ from, seq, value }) => `${from}${seq} ${value}`),
        toArray(),
      ),
  });
  const { result } = await simulate(flow);
  assert.is(result.status, 'succeeded', String(result.report));
  assert.equal(result.results.get(pro), ['two', 'four']);
  assert.equal(result.results.get(con), ['one', 'three']);
  assert.equal(result.results.get(judge), ['pro1 one', 'con1 two', 'pro2 three', 'con2 four']);
});

test('the envelope, and a value of its own for each reader', async () => {
  const lists = channel<{ list: number[] }>('lists');
  const flow = workflow({ name: 'envelope' });
  const mine = { list: [1] };
  flow.task('a', {
    run: async (_, ctx) => {
      await ctx.sleep(7);
      const sent = await ctx.send(lists, mine, { key: 'first' });
      mine.list.push(9);
      await ctx.send(lists, mine);
      return sent;
    },
  });
  const readers = ['b', 'c'].map((id) =>
    flow.task(id, {
      run: async (_, ctx) => {
        const heard = await all(ctx.receive$(lists, { from: 'a' }));
        for (const { value } of heard) value.list.push(2);
        return heard;
      },
    }),
  );
  const { result } = await simulate(flow);
  const envelope = { v: 1, channel: 'lists', from: 'a', at: 7, attempt: 1 };
  const first = { ...envelope, id: 'lists/a/1', seq: 1, key: 'first' };
  assert.equal(result.results.get('a'), { ...first, value: { list: [1] } });
  for (const reader of readers)
    assert.equal(result.results.get(reader), [
      { ...first, value: { list: [1, 2] } },
      { ...envelope, id: 'lists/a/2', seq: 2, value: { list: [1, 9, 2] } },
    ]);
});

test('order holds per sender, also where sends are not awaited and the schema answers late', async () => {
  const slow: StandardSchema<number> = {
    '~standard': {
      version: 1,
      vendor: 'spec',
      validate: (value) => {
        const checked = { value: (value as number) * 10 };
        return value === 1 ? firstValueFrom(timer(20).pipe(map(() => checked))) : checked;
      },
    },
  };
  const numbers = channel('numbers', { schema: slow });
  const flow = workflow({ name: 'order' });
  flow.task('a', { run: (_, ctx) => Promise.all([1, 2, 3].map((n) => ctx.send(numbers, n))) });
  const reader = flow.task('b', { run: async (_, ctx) => all(ctx.receive$(numbers, { from: 'a' })) });
  const { result } = await simulate(flow);
  assert.equal(values(result.results.get(reader) ?? []), [10, 20, 30]);
});

test('what one reading has taken the next does not get again, another one beside it does', async () => {
  const flow = workflow({ name: 'readings' });
  flow.task('a', {
    run: async (_, ctx) => {
      for (const value of ['1', '2', '3']) await ctx.send(said, value);
    },
  });
  const reader = flow.task('b', {
    run: async (_, ctx) => {
      const beside = lastValueFrom(ctx.receive$(said, { from: 'a' }).pipe(toArray()));
      const one = await ctx.receive(said);
      let two = '';
      for await (const { value } of ctx.receive$(said)) {
        two = value;
        break;
      }
      return [one.value, two, ...values(await all(ctx.receive$(said, { from: 'a' }))), values(await beside)];
    },
  });
  const { result } = await simulate(flow);
  assert.equal(result.results.get(reader), ['1', '2', '3', ['1', '2', '3']]);
});

test('several channels read as one come in the order in which things were said', async () => {
  const orders = channel<{ stop: boolean }>('orders');
  const flow = workflow({ name: 'several', groups: { llm: { concurrency: 1 } } });
  flow.task('talks', {
    run: async (_, ctx) => {
      for (const word of ['a', 'b', 'c']) {
        await ctx.send(said, word);
        await ctx.sleep(10);
      }
    },
  });
  flow.task('stops', {
    run: async (_, ctx) => {
      await ctx.sleep(15);
      await ctx.send(orders, { stop: true });
    },
  });
  const worker = flow.task('worker', {
    group: 'llm',
    run: async (_, ctx) => {
      const heard: unknown[] = [await ctx.receive([orders, said]).then(({ value }) => value)];
      for await (const { value } of ctx.receive$([orders, said])) {
        heard.push(value);
        await ctx.sleep(20);
      }
      return heard;
    },
  });
  // Has the place of the group only while the worker has nothing to do.
  flow.task('other', { group: 'llm', run: (_, ctx) => ctx.sleep(1) });
  const { result } = await simulate(flow);
  assert.equal(result.results.get(worker), ['a', 'b', { stop: true }, 'c']);
  assert.is(result.tasks.get('worker')?.runningMs, 60);
});

test('replay: who comes late gets the last messages, and its retry the same ones', async () => {
  const heardWith = async (replay: number | undefined): Promise<unknown> => {
    const news = channel<number>('news', replay === undefined ? {} : { replay });
    const flow = workflow({ name: 'late' });
    const sender = flow.task('sender', {
      run: async (_, ctx) => {
        for (let n = 1; n <= 100; n++) {
          await ctx.send(news, n);
          await ctx.sleep(10);
        }
      },
    });
    const late = flow.task('late', {
      retry: { count: 1, backoff: () => 200 },
      run: async (_, ctx) => {
        if (ctx.attempt === 1) {
          await ctx.sleep(495);
          await ctx.receive(news);
          throw new Error('again');
        }
        const heard = values(await all(ctx.receive$(news, { from: sender })));
        return [heard.length, heard[0], heard.at(-1)];
      },
    });
    const { result } = await simulate(flow);
    return result.results.get(late);
  };
  assert.equal(await heardWith(undefined), [100, 1, 100]);
  // 50 are there at 495 ms.
  assert.equal(await heardWith(3), [53, 48, 100]);
  assert.equal(await heardWith(0), [50, 51, 100]);
});

/** A sender of six, one each ms, and a reader that takes 10 ms for each. */
function slowReader(options: ChannelOptions<number>, concurrency = 2): { flow: Workflow; log: string[] } {
  const numbers = channel<number>('numbers', options);
  const flow = workflow({ name: 'slow', concurrency });
  const log: string[] = [];
  flow.task('reader', {
    run: async (_, ctx) => {
      const heard: number[] = [];
      for await (const { value } of ctx.receive$(numbers, { from: 'sender' })) {
        heard.push(value);
        await ctx.sleep(10);
      }
      return heard;
    },
  });
  flow.task('sender', {
    run: async (_, ctx) => {
      for (let n = 1; n <= 6; n++) {
        try {
          await ctx.send(numbers, n);
        } catch (error) {
          log.push(`${n} ${codeOf(error)}: ${(error as Error).message}`);
        }
        await ctx.sleep(1);
      }
    },
  });
  return { flow: flow as unknown as Workflow, log };
}

test('onFull wait: the sender waits for the slow reader, without a slot', async () => {
  const { result } = await simulate(slowReader({ capacity: 2 }).flow);
  assert.equal(result.results.get('reader'), [1, 2, 3, 4, 5, 6]);
  // One is being worked on from 0 ms on, two wait: the fourth waits from 3 to 10, the next from 11 to 20, 21 to 30.
  assert.is(result.tasks.get('sender')?.waits.suspended, 25);
  // With one slot for both, each goes on while the other waits.
  const one = await simulate(slowReader({ capacity: 2 }, 1).flow);
  assert.equal(one.result.results.get('reader'), [1, 2, 3, 4, 5, 6]);
});

test('onFull fail: the sender is told who is slow', async () => {
  const { flow, log } = slowReader({ capacity: 2, onFull: 'fail' });
  const { result } = await simulate(flow);
  assert.equal(result.results.get('reader'), [1, 2, 3]);
  const full = told(
    'LIMIT_EXCEEDED',
    'LIMIT_EXCEEDED: Channel "numbers" is full: "reader" did not take 2 messages yet. Raise its capacity or choose another onFull.',
  );
  assert.equal(
    log,
    [4, 5, 6].map((n) => `${n} ${full}`),
  );
});

test('onFull drop-oldest: the slow reader misses its oldest ones, and events say which', async () => {
  const { flow } = slowReader({ capacity: 2, onFull: 'drop-oldest' });
  const { result, events } = await simulate(flow);
  assert.equal(result.results.get('reader'), [1, 5, 6]);
  const dropped = events.filter(({ type, reason }) => type === 'message' && reason === 'dropped');
  assert.equal(
    dropped.map((event) => 'messageId' in event && event.messageId),
    ['numbers/sender/2', 'numbers/sender/3', 'numbers/sender/4'],
  );
});

test('a channel nobody reads is never full, and one that replays little keeps little', async () => {
  const few = channel<number>('few', { capacity: 1, replay: 2 });
  const flow = workflow({ name: 'unread' });
  const sender = flow.task('sender', {
    run: async (_, ctx) => {
      for (let n = 1; n <= 1_000; n++) await ctx.send(few, n);
    },
  });
  const reader = flow.task('reader', {
    dependencies: { sender },
    run: async (_, ctx) => values(await all(ctx.receive$(few, { from: sender }))),
  });
  const { result } = await simulate(flow);
  assert.equal(result.results.get(reader), [999, 1000]);
});

test('a body that runs again says the same once; something else is new; a key holds the first value', async () => {
  const flow = workflow({ name: 'again' });
  const sender = flow.task('sender', {
    retry: { count: 2, backoff: () => 5 },
    run: async (_, ctx) => {
      await ctx.send(said, 'same');
      await ctx.send(said, 'same');
      await ctx.send(said, `attempt ${ctx.attempt}`);
      const { value } = await ctx.send(said, `thought ${ctx.attempt}`, { key: 'thought' });
      if (ctx.attempt < 3) throw new Error('again');
      return value;
    },
  });
  const reader = flow.task('reader', {
    run: async (_, ctx) => all(ctx.receive$(said, { from: sender })),
  });
  const { result, events } = await simulate(flow);
  assert.is(result.results.get(sender), 'thought 1');
  const heard = result.results.get(reader) ?? [];
  assert.equal(values(heard), ['same', 'same', 'attempt 1', 'thought 1', 'attempt 2', 'attempt 3']);
  assert.equal(
    heard.map(({ seq, attempt }) => `${seq} of ${attempt}`),
    ['1 of 1', '2 of 1', '3 of 1', '4 of 1', '5 of 2', '6 of 3'],
  );
  assert.is(events.filter(({ type, reason }) => type === 'message' && reason === 'repeated').length, 6);
});

test('what a failed attempt was given its retry is given again', async () => {
  const flow = workflow({ name: 'regiven' });
  const sender = flow.task('sender', {
    run: async (_, ctx) => {
      for (const value of ['1', '2', '3']) {
        await ctx.send(said, value);
        await ctx.sleep(10);
      }
    },
  });
  const seen: string[] = [];
  const reader = flow.task('reader', {
    retry: { count: 1, backoff: () => 3 },
    run: async (_, ctx) => {
      const heard: string[] = [];
      for await (const { value } of ctx.receive$(said, { from: sender })) {
        heard.push(value);
        seen.push(`${ctx.attempt}: ${value}`);
        if (ctx.attempt === 1 && value === '2') throw new Error('lost');
      }
      return heard;
    },
  });
  const { result } = await simulate(flow);
  assert.equal(result.results.get(reader), ['1', '2', '3']);
  assert.equal(seen, ['1: 1', '1: 2', '2: 1', '2: 2', '2: 3']);
});

test('ask and reply, before the other one has started, several at once, with a schema', async () => {
  const flow = workflow({ name: 'asking', concurrency: 1 });
  const short: StandardSchema<string> = {
    '~standard': {
      version: 1,
      vendor: 'spec',
      validate: (value) =>
        String(value).length < 20 ? { value: `(${value})` } : { issues: [{ message: 'too long' }] },
    },
  };
  const asker = flow.task('asker', {
    run: async (_, ctx) => {
      const both = await Promise.all([ctx.ask('oracle', 'a'), ctx.ask('oracle', { b: 1 })]);
      const checked = await ctx.ask('oracle', 'c', { schema: short });
      const misfit = await ctx.ask('oracle', 'long', { schema: short }).catch((error: unknown) => error);
      return [...both, checked.length, codeOf(misfit), (misfit as Error).message];
    },
  });
  const oracle = flow.task('oracle', {
    run: async (_, ctx) => {
      const from: string[] = [];
      for await (const request of ctx.requests$<string>({ from: asker })) {
        from.push(`${request.from} ${request.id} ${request.channel}`);
        await ctx.sleep(10);
        await request.reply(request.value === 'long' ? 'x'.repeat(30) : ['re', request.value]);
        await request.reply('a second one has no effect');
      }
      return from;
    },
  });
  const { result } = await simulate(flow);
  assert.is(result.status, 'succeeded', String(result.report));
  assert.equal(result.results.get(asker), [
    ['re', 'a'],
    ['re', { b: 1 }],
    6,
    'INVALID_MESSAGE',
    told(
      'INVALID_MESSAGE',
      'A reply of task "oracle" does not fit its schema at the value itself. Say something else, or change the schema.',
    ),
  ]);
  assert.equal(result.results.get(oracle)?.[0], 'asker @oracle/asker/1 @oracle');
  assert.is(result.results.get(oracle)?.length, 4);
});

test('ask: a retry gets the reply it had; one who is asked gets open and replied requests again', async () => {
  const flow = workflow({ name: 'asked-again' });
  const replies: string[] = [];
  const asker = flow.task('asker', {
    retry: { count: 1, backoff: () => 1 },
    run: async (_, ctx) => {
      const one = await ctx.ask('oracle', 'one', { schema: typed<string>() });
      const two = await ctx.ask('oracle', `two ${ctx.attempt}`, { key: 'two', schema: typed<string>() });
      if (ctx.attempt === 1) throw new Error('after both');
      return [one, two];
    },
  });
  flow.task('oracle', {
    retry: { count: 1, backoff: () => 5 },
    run: async (_, ctx) => {
      for await (const request of ctx.requests$<string>({ from: asker })) {
        replies.push(`${ctx.attempt}: ${request.value}${request.replied ? ' (replied)' : ''}`);
        if (ctx.attempt === 1 && request.value.startsWith('two')) throw new Error('before it has replied');
        await request.reply(`${request.value} by ${ctx.attempt}`);
      }
    },
  });
  const { result } = await simulate(flow);
  assert.equal(result.results.get(asker), ['one by 1', 'two 1 by 2']);
  assert.equal(replies, ['1: one', '1: two 1', '2: one (replied)', '2: two 1']);
});

test('ask ends without a reply: time, the end of the other, itself, nobody', async () => {
  const flow = workflow({ name: 'no-reply' });
  const deaf = flow.task('deaf', { run: (_, ctx) => ctx.sleep(50) });
  const broken = flow.task('broken', {
    run: async (_, ctx) => {
      await firstValueFrom(ctx.requests$());
      throw new Error('no idea');
    },
  });
  const errors = flow.task('asker', {
    run: async (_, ctx) => {
      const of = (asked: Promise<unknown>): Promise<unknown> => asked.catch((error: unknown) => error);
      const [late, ended, cause] = await Promise.all([
        of(ctx.ask(deaf, 1, { timeout: 20 })),
        of(ctx.ask(deaf, 2)),
        of(ctx.ask(broken, 3)),
      ]);
      const [gone, itself, nobody] = await Promise.all([
        of(ctx.ask('deaf', 4)),
        of((async () => ctx.ask('asker', 5))()),
        of((async () => ctx.ask('nobody', 6))()),
      ]);
      return [late, ended, cause, gone, itself, nobody].map((error) => {
        const { code, message, cause } = error as RxhiveError;
        return [code, message, (cause as Error | undefined)?.message];
      });
    },
  });
  const { result } = await simulate(flow);
  assert.equal(result.results.get(errors), [
    [
      'TASK_TIMEOUT',
      told(
        'TASK_TIMEOUT',
        'Task "asker" timed out: the task it asked did not reply within 20 ms. Raise the timeout of ctx.ask or catch this.',
      ),
      undefined,
    ],
    ...[2, 3].map((n) => [
      'NO_REPLY',
      told(
        'NO_REPLY',
        `Task "${n === 2 ? 'deaf' : 'broken'}" was asked and has ended (${n === 2 ? 'succeeded' : 'failed'}) without a reply; answer what ctx.requests$() gives, or ask earlier.`,
      ),
      n === 2 ? undefined : 'no idea',
    ]),
    [
      'NO_REPLY',
      told(
        'NO_REPLY',
        'Task "deaf" was asked and has ended (succeeded) without a reply; answer what ctx.requests$() gives, or ask earlier.',
      ),
      undefined,
    ],
    ['INVALID_OPTION', told('INVALID_OPTION', 'Task "asker" asks itself; ask another one.'), undefined],
    [
      'INVALID_OPTION',
      told('INVALID_OPTION', 'ctx.ask got "nobody", which is no task of this run.'),
      undefined,
    ],
  ]);
});

test('receive ends: time, and nobody left; for await and streams just end', async () => {
  const flow = workflow({ name: 'ends' });
  const quiet = flow.task('quiet', { run: (_, ctx) => ctx.sleep(30) });
  const reader = flow.task('reader', {
    run: async (_, ctx) => {
      const late = await ctx.receive(said, { timeout: 10 }).catch((error: unknown) => error);
      const from = await ctx.receive(said, { from: quiet }).catch((error: unknown) => error);
      const anyone = await ctx.receive(said).catch((error: unknown) => error);
      return [
        [late, from, anyone].map(codeOf),
        (late as Error).message,
        (anyone as Error).message,
        await all(ctx.receive$(said)),
        await lastValueFrom(ctx.receive$(said).pipe(toArray())),
      ];
    },
  });
  flow.task('behind', { dependencies: { reader }, run: () => 'is no one who could speak to the reader' });
  const { result } = await simulate(flow);
  assert.equal(result.results.get(reader), [
    ['TASK_TIMEOUT', 'CHANNEL_ENDED', 'CHANNEL_ENDED'],
    told(
      'TASK_TIMEOUT',
      'Task "reader" timed out: no message came within 10 ms. Raise the timeout of ctx.receive or catch this.',
    ),
    told(
      'CHANNEL_ENDED',
      'Task "reader" waits for a message on channel "said", but all that could send one have ended. Read with for await, which ends then, or catch this.',
    ),
    [],
    [],
  ]);
});

test('wait: false keeps the slot, for work that can be called off', async () => {
  const stop = channel<string>('stop');
  const flow = workflow({ name: 'stop', groups: { llm: { concurrency: 1 } } });
  const streams = ['a', 'b'].map((id) =>
    flow.task(id, {
      group: 'llm',
      run: (_, ctx) => timer(10, 10).pipe(takeUntil(ctx.receive$(stop, { wait: false, from: `stop-${id}` }))),
    }),
  );
  flow.task('stop-a', { run: async (_, ctx) => ctx.sleep(35).then(() => ctx.send(stop, 'enough')) });
  flow.task('stop-b', { run: async (_, ctx) => ctx.sleep(80).then(() => ctx.send(stop, 'enough')) });
  const { result } = await simulate(flow);
  assert.equal(
    streams.map((task) => result.results.get(task)),
    [2, 3],
  );
  assert.is(result.tasks.get('b')?.waits.slot, 35);
  assert.is(result.tasks.get('a')?.waits.suspended, 0);
});

test('ask and receive with wait: false work on, and are part of no circle', async () => {
  const flow = workflow({ name: 'early', groups: { llm: { concurrency: 1 } } });
  const early = flow.task('early', {
    group: 'llm',
    run: async (_, ctx) => {
      const asked = ctx.ask('other', 'well?', { wait: false });
      const word = ctx.receive(said, { wait: false });
      await ctx.sleep(10); // a model call
      await ctx.send(said, 'go on');
      return [await asked, (await word).value];
    },
  });
  flow.task('other', {
    run: async (_, ctx) => {
      const { value } = await ctx.receive(said, { from: early });
      await ctx.send(said, 'gone on');
      for await (const request of ctx.requests$({ from: early })) await request.reply(`${value}: done`);
    },
  });
  const { result } = await simulate(flow);
  assert.equal(result.results.get(early), ['go on: done', 'gone on']);
  assert.is(result.tasks.get('early')?.waits.suspended, 0);
});

test('a pipe that works on a message for a while is not taken for one that waits in a circle', async () => {
  const flow = workflow({ name: 'pipes' });
  const think = (ms: number) =>
    concatMap((message: Message<string>) => timer(ms).pipe(map(() => message.value)));
  const a = flow.task('a', {
    run: (_, ctx) =>
      ctx.receive$(said, { from: 'b' }).pipe(
        think(50),
        concatMap((v) => ctx.send(said, `re ${v}`)),
      ),
  });
  const b = flow.task('b', {
    run: async (_, ctx) => {
      await ctx.send(said, 'hello');
      return (await ctx.receive(said)).value;
    },
  });
  const { result } = await simulate(flow);
  assert.is(result.results.get(b), 're hello');
  assert.is(result.results.get(a)?.value, 're hello');
});

test('explain and stuck say what is waited for', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'explained' });
  const heard: unknown[] = [];
  flow.task('asks', { run: (_, ctx) => ctx.ask('person', 'well?', { key: 'k' }) });
  flow.task('person', {
    run: async (_, ctx) => {
      const ok = await ctx.ask(human(typed<boolean>(), 'Well?'));
      for await (const request of ctx.requests$({ from: 'asks' })) await request.reply(ok);
    },
  });
  const reads = ['reads', 'reads too'].map((id) =>
    flow.task(id, { run: (_, ctx) => ctx.receive$(said).pipe(map((one) => heard.push(one.value))) }),
  );
  flow.task('says', { run: (_, ctx) => ctx.send(said, 'hi') });
  const run = flow.run({ scheduler, pauseBefore: [] });
  const stuck: unknown[] = [];
  run.events$.subscribe((event) => {
    if (event.type === 'run' && event.reason === 'stuck') stuck.push(...(event.waitsFor ?? []));
  });
  const end = run.result();
  await advance(scheduler, 100);
  assert.is(
    run.explain('asks'),
    'Task "asks" gave its slot back 0.1 s ago and waits for an answer of "person".',
  );
  assert.is(
    run.explain('reads'),
    'Task "reads" gave its slot back 0.1 s ago and waits for a message on channel "said" from anyone.',
  );
  const question = 'Task "person" waits for people to answer "person?1" (Well?); give it to run.answer().';
  const unsure = reads.map(
    ({ id }) =>
      `Task "${id}" waits for a message on channel "said" from anyone, if it is not at work on one it was given; name whom it reads (from), or work within for await.`,
  );
  assert.equal(run.stuck(), [question, ...unsure]);
  assert.equal(stuck, [question, ...unsure]);
  const answered = run.answer('person?1', true);
  await advance(scheduler, 1);
  await answered;
  assert.equal(heard, ['hi', 'hi']);
  // Two that may still be at work on what they were given: only the report can say so.
  assert.equal(run.stuck(), unsure);
  run.cancel();
  await end;
});

test('hostile values: what is no data is refused, what looks like code stays data', async () => {
  const any = channel<unknown>('any');
  const flow = workflow({ name: 'hostile' });
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  class Thing {}
  const good = [
    JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1}') as unknown,
    { $: 'error', v: [] },
    { kind: 'commit', task: 'reader', id: 1 },
    '"},"kind":"failed","x":"',
    'e\u0000\u2028\ud800',
    [undefined, Number.NaN, -0, 10n, new Date(5), new Map([['a', new Set([1])]]), new Uint8Array([1, 2])],
    null,
  ];
  const sender = flow.task('sender', {
    run: async (_, ctx) => {
      const bad = [() => 1, circle, new Thing(), { deep: [Symbol('x')] }, 'x'.repeat(9_000_000)];
      const codes: unknown[] = await Promise.all(bad.map((one) => ctx.send(any, one).catch(codeOf)));
      codes.push(await ctx.ask('reader', () => 1).catch(codeOf));
      for (const one of good) await ctx.send(any, one);
      return codes;
    },
  });
  const reader = flow.task('reader', {
    run: async (_, ctx) => values(await all(ctx.receive$(any, { from: sender }))),
  });
  const store = memory();
  const { result } = await simulate(flow, { store, runId: 'hostile' });
  assert.is(result.status, 'succeeded', String(result.report));
  assert.equal(result.results.get(sender), Array(6).fill('NOT_SERIALIZABLE'));
  assert.equal(result.results.get(reader), good);
  assert.is(({} as { polluted?: boolean }).polluted, undefined);
  // The log can be read, and says the same.
  const { records } = await flow.history(store, 'hostile');
  const kept = records.flatMap((record) => (record.kind === 'message' ? [record.value] : []));
  assert.equal(kept, good);
});

test('a message that does not fit is not sent, and says where', async () => {
  const votes = channel('votes', {
    schema: {
      '~standard': {
        version: 1,
        vendor: 'spec',
        validate: (value: unknown) =>
          typeof (value as { ok?: unknown }).ok === 'boolean'
            ? { value: value as { ok: boolean } }
            : { issues: [{ message: 'say true or false', path: ['ok'] }] },
      },
    } satisfies StandardSchema<{ ok: boolean }>,
  });
  const flow = workflow({ name: 'votes' });
  const sender = flow.task('sender', {
    run: async (_, ctx) => {
      const error = await ctx.send(votes, { ok: 'secret' as never }).catch((one: unknown) => one);
      await ctx.send(votes, { ok: true });
      const { message, code } = error as RxhiveError;
      return [code, message];
    },
  });
  const reader = flow.task('reader', { run: async (_, ctx) => all(ctx.receive$(votes, { from: sender })) });
  const { result } = await simulate(flow);
  assert.equal(result.results.get(sender), [
    'INVALID_MESSAGE',
    told(
      'INVALID_MESSAGE',
      'A message on channel "votes" does not fit its schema at ok. Say something else, or change the schema.',
    ),
  ]);
  assert.equal(values(result.results.get(reader) ?? []), [{ ok: true }]);
});

test('wrong options are refused with what to change', async () => {
  const wrong: [() => unknown, RegExp][] = [
    [() => channel(''), /the name is ""; give a text/],
    [() => channel('a/b'), /without "\/"/],
    [() => channel('@a'), /not beginning with "@"/],
    [() => channel('a', { replay: -1 }), /replay is -1; give a whole number from 0/],
    [() => channel('a', { capacity: 0 }), /capacity is 0; give a whole number from 1/],
    [() => channel('a', { onFull: 'explode' as never }), /onFull is "explode"; give 'wait'/],
    [() => channel('a', { schema: 1 as never }), /the schema is 1/],
    [() => channel('a', null as never), /the options are null/],
  ];
  for (const [make, message] of wrong) assert.throws(make, message);
  const flow = workflow({ name: 'wrong' });
  const task = flow.task('task', {
    run: async (_, ctx) => {
      const tries: (() => unknown)[] = [
        () => ctx.send('said' as never, 'x' as never),
        () => ctx.send(said, 'x', { key: '' }),
        () => ctx.send(channel<string>('twins'), 'x').then(() => ctx.send(channel<string>('twins'), 'y')),
        () => ctx.send(said, 'x', { key: 'k' }).then(() => ctx.send(said, 'y', { key: 'k' })),
        () => ctx.receive(said, { timeout: 0 }),
        () => ctx.receive$(said, { from: ['task', 'ghost'] }),
        () => ctx.receive([]),
        () => ctx.ask({} as never),
      ];
      const messages: string[] = [];
      for (const one of tries)
        try {
          await one();
          messages.push('nothing');
        } catch (error) {
          messages.push((error as Error).message);
        }
      return messages;
    },
  });
  const { result } = await simulate(flow);
  assert.equal(result.results.get(task), [
    told('INVALID_OPTION', 'ctx.send got "said"; give a channel(\'name\').'),
    told('INVALID_OPTION', 'ctx.send: key is ""; give a text of 1 to 200 characters.'),
    told('INVALID_OPTION', 'Two channels are called "twins"; use one, or give each a name of its own.'),
    told(
      'INVALID_OPTION',
      'Task "task" uses the key "k" twice on "said"; give each message a key of its own.',
    ),
    told('INVALID_OPTION', 'ctx.receive: timeout is 0; give ms above 0.'),
    told('INVALID_OPTION', 'ctx.receive$ got "ghost", which is no task of this run.'),
    told('INVALID_OPTION', "ctx.receive got an array; give a channel('name')."),
    told(
      'INVALID_OPTION',
      'ctx.ask got a value of type object; give human(schema, prompt), or a task and a message.',
    ),
  ]);
});

test('after its end an attempt neither sends nor receives, replies or waits', async () => {
  const flow = workflow({ name: 'late' });
  const late: unknown[] = [];
  const tell = (error: unknown): unknown => late.push(codeOf(error));
  const sender = flow.task('sender', {
    timeout: 10,
    retry: { count: 1, backoff: () => 1 },
    run: async (_, ctx) => {
      if (ctx.attempt === 2) {
        await ctx.sleep(5);
        return 'second';
      }
      void ctx.receive(said, { timeout: 5_000 }).catch(tell); // rejects when the attempt times out
      await ctx.send(said, 'in time');
      const request = await firstValueFrom(ctx.requests$());
      const inbox = ctx.receive$(said);
      const iterator = ctx.receive$(said)[Symbol.asyncIterator]();
      await firstValueFrom(timer(12)); // deaf to the timeout; the second attempt runs meanwhile
      for (const act of [
        () => ctx.send(said, 'too late'),
        () => ctx.ask('reader', 'too late'),
        () => request.reply('too late'),
        () => iterator.next(),
        () => inbox[Symbol.asyncIterator]().next(),
        () => lastValueFrom(inbox),
      ])
        try {
          tell(await act());
        } catch (error) {
          tell(error);
        }
      return 'first';
    },
  });
  const reader = flow.task('reader', {
    run: async (_, ctx) => {
      const reply = ctx.ask(sender, 'well?').catch(codeOf);
      return [await reply, values(await all(ctx.receive$(said, { from: sender })))];
    },
  });
  const { result, events } = await simulate(flow);
  assert.is(result.results.get(sender), 'second');
  assert.equal(result.results.get(reader), ['NO_REPLY', ['in time']]);
  assert.equal(late, ['TASK_TIMEOUT', ...Array(6).fill('ATTEMPT_ENDED')]);
  const second = events.findIndex((event) => event.type === 'attempt' && event.attempt === 2);
  assert.not(events.slice(second).some((event) => event.type === 'task' && event.reason === 'suspended'));
});

test('attempts beside each other, and one that a conflict runs again, say the same once', async () => {
  const flow = workflow({ name: 'beside', state: { n: 0 } });
  let calls = 0;
  const hedged = flow.task('hedged', {
    hedge: { after: 10 },
    run: async (_, ctx) => {
      const first = ++calls === 1;
      await ctx.send(said, 'hello');
      const reply = await ctx.ask('serves', 'name?');
      await ctx.sleep(first ? 100 : 5);
      return [first, reply];
    },
  });
  flow.task('serves', {
    run: async (_, ctx) => {
      let n = 0;
      for await (const request of ctx.requests$({ from: hedged })) await request.reply(`reply ${++n}`);
    },
  });
  let runs = 0;
  const conflicting = flow.task('conflicting', {
    isolation: 'serializable',
    run: async (_, ctx) => {
      runs += 1;
      const n = ctx.read((state) => state.n);
      await ctx.send(said, 'reads');
      await ctx.sleep(5);
      ctx.update((state) => {
        state.n = n + 1;
      });
    },
  });
  flow.task('writes', {
    run: (_, ctx) => {
      ctx.update((state) => {
        state.n += 10;
      });
    },
  });
  const reader = flow.task('reader', {
    run: async (_, ctx) =>
      (await all(ctx.receive$(said, { from: [hedged, conflicting] }))).map(({ id }) => id),
  });
  const { result } = await simulate(flow);
  assert.equal(result.results.get(hedged), [false, 'reply 1']);
  assert.equal([calls, runs, (result.state as { n: number }).n], [2, 2, 11]);
  assert.equal(result.results.get(reader), ['said/hedged/1', 'said/conflicting/1']);
});

test('agents of an orchestrator talk by the ids of their tasks', async () => {
  const orchestrator = new WorkflowOrchestrator({
    maxConcurrentTasks: 1,
    agents: {
      writer: async (task, ctx) => {
        await ctx.send(said, `draft of ${String(task.data)}`);
        return ctx.ask('critic_0', 'fine?');
      },
      critic: async (_, ctx) => {
        const { value } = await ctx.receive(said, { from: 'writer_0' });
        for await (const request of ctx.requests$({ from: 'writer_0' }))
          await request.reply(`${value} is fine`);
      },
    },
  });
  orchestrator.addTask(new AgentTask({ id: 'writer_0', agentType: 'writer', data: 'bees' }));
  orchestrator.addTask(new AgentTask({ id: 'critic_0', agentType: 'critic' }));
  const { results, status } = await orchestrator.executeWorkflow();
  assert.is(status, 'succeeded');
  assert.is(results.get('writer_0'), 'draft of bees is fine');
});

test('a run shows what is said on a channel to who watches it, typed, and ends with it', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'watched' });
  flow.task('a', {
    run: async (_, ctx) => {
      await ctx.send(said, 'one');
      await ctx.ask('b', 'not on the channel');
      await ctx.sleep(5);
      await ctx.send(said, 'two');
    },
  });
  flow.task('b', { run: async (_, ctx) => (await firstValueFrom(ctx.requests$())).reply('ok') });
  const run = flow.run({ scheduler });
  const heard: string[] = [];
  run.messages$(said).subscribe({
    next: ({ id, value }) => heard.push(`${id} ${value.toUpperCase()}`),
    complete: () => heard.push('end'),
  });
  // Watching it runs it, as with all streams of a run.
  await advance(scheduler, 10);
  assert.equal(heard, ['said/a/1 ONE', 'said/a/2 TWO', 'end']);
  assert.equal(await lastValueFrom(run.messages$(said).pipe(toArray())), []);
});

test('events tell what is said, without secrets', async () => {
  const flow = workflow({ name: 'told' });
  flow.task('a', {
    run: async (_, ctx) => {
      await ctx.send(said, 'the key is sk-abcdefghijklmnopqrstuv');
      await ctx.ask('b', { password: 'hunter2' });
    },
  });
  flow.task('b', {
    run: async (_, ctx) => {
      await ctx.receive(said);
      for await (const request of ctx.requests$({ from: 'a' })) await request.reply('ok');
    },
  });
  const { events } = await simulate(flow);
  const told = events.filter(({ type }) => type === 'message');
  assert.equal(
    told.map((event) => `${'taskId' in event && event.taskId} ${event.reason}`),
    ['a sent', 'b received', 'a asked', 'b received', 'b replied'],
  );
  const lines = await lastValueFrom(of(...told).pipe(eventLines(), toArray()));
  assert.is(
    lines[0],
    '{"seq":7,"at":0,"runId":"simulation-1","type":"message","reason":"sent","taskId":"a","messageId":"said/a/1","channel":"said","value":"the key is [redacted]"}',
  );
  assert.match(lines[2] as string, '"value":{"password":"[redacted]"}');
});

test.run();
