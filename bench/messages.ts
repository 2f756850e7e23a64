import { firstValueFrom, Subject, take } from 'rxjs';
import { channel, memory, workflow } from '../dist/index.js';

// What a message costs: from one task to another and to ten, beside rxjs alone, in turns.
const word = { role: 'assistant', content: 'Bees first.', round: 1 };

/** Rxjs alone: nothing waits, nothing is kept, all share one object. */
function subject(messages: number): void {
  const subject$ = new Subject<typeof word>();
  let heard = 0;
  subject$.subscribe(({ round }) => {
    heard += round;
  });
  for (let i = 0; i < messages; i++) subject$.next(word);
  if (heard !== messages) throw new Error(`${heard} heard`);
}

/** Rxjs with a promise for each message, as a body that works on one after the other needs it. */
async function promised(messages: number): Promise<void> {
  const subject$ = new Subject<typeof word>();
  for (let i = 0; i < messages; i++) {
    const next = firstValueFrom(subject$.pipe(take(1)));
    subject$.next({ ...word });
    await next;
  }
}

async function talk(messages: number, readers: number, stored: boolean): Promise<void> {
  const words = channel<typeof word>('words');
  const flow = workflow({ name: 'talk' });
  const sender = flow.task('sender', {
    run: async (_, ctx) => {
      for (let i = 0; i < messages; i++) await ctx.send(words, word);
    },
  });
  const all = Array.from({ length: readers }, (_, i) =>
    flow.task(`reader${i}`, {
      run: async (_, ctx) => {
        let heard = 0;
        for await (const { value } of ctx.receive$(words, { from: sender })) heard += value.round;
        return heard;
      },
    }),
  );
  const { results } = await flow.run({ learn: false, ...(stored && { store: memory() }) }).result();
  for (const reader of all)
    if (results.get(reader) !== messages) throw new Error(`${results.get(reader)} heard`);
}

/** One waits for the other all the time: each message moves a slot. */
async function askAndReply(messages: number): Promise<void> {
  const flow = workflow({ name: 'ask' });
  const asker = flow.task('asker', {
    run: async (_, ctx) => {
      for (let i = 0; i < messages; i++) await ctx.ask('oracle', i);
    },
  });
  flow.task('oracle', {
    run: async (_, ctx) => {
      for await (const { value, reply } of ctx.requests$({ from: asker })) await reply(value);
    },
  });
  const { status } = await flow.run({ learn: false }).result();
  if (status !== 'succeeded') throw new Error(status);
}

const cases: Readonly<Record<string, (messages: number) => unknown>> = {
  'rxjs Subject, one subscriber': subject,
  'rxjs Subject, a promise each': promised,
  'channel, one reader': (messages) => talk(messages, 1, false),
  'channel, ten readers, each of ten': (messages) => talk(messages / 10, 10, false),
  'channel, one reader, a log in memory': (messages) => talk(messages, 1, true),
  'ask and reply, two messages and two turns of a slot': askAndReply,
};

const median = (list: number[]): number => list.sort((a, b) => a - b)[list.length >> 1] as number;
for (const messages of [1_000, 10_000, 100_000]) {
  const times = new Map<string, number[]>();
  for (let round = 0; round < (messages > 10_000 ? 3 : 7); round++)
    for (const [name, run] of Object.entries(cases)) {
      const begun = performance.now();
      await run(messages);
      times.set(name, [...(times.get(name) ?? []), ((performance.now() - begun) * 1_000) / messages]);
    }
  console.log(`${messages} messages, us each:`);
  for (const [name, list] of times) console.log(`  ${median(list).toFixed(2).padStart(7)}  ${name}`);
}
