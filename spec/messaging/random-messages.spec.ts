import { lastValueFrom, take, toArray } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Channel,
  channel,
  type Message,
  type TaskContext,
  type Workflow,
  workflow,
} from '../../lib/index.js';
import { seededRandom } from '../../lib/kernel/random.js';
import { ExploreError, explore, type Invariant } from '../../lib/testing/index.js';

/** What each task of a random network says, whom it reads, and whom it asks: nobody waits for one that waits for it. */
interface Part {
  readonly id: string;
  readonly says: readonly string[];
  readonly reads: readonly string[];
  readonly asks: string | undefined;
  readonly askers: readonly string[];
}

function drawParts(random: () => number): Part[] {
  const below = (n: number): number => Math.floor(random() * n);
  const drawn = Array.from({ length: 2 + below(5) }, (_, i) => ({
    id: `t${i}`,
    says: Array.from({ length: below(5) }, (_, n) => (random() < 0.3 ? 'again' : `${i}.${n}`)),
    reads: Array.from({ length: i }, (_, j) => `t${j}`).filter(() => random() < 0.6),
    // Those who are asked serve when they have read everything: only earlier ones are sure to come so far.
    asks: i > 0 && random() < 0.4 ? `t${below(i)}` : undefined,
  }));
  return drawn.map((one) => ({
    ...one,
    askers: drawn.filter(({ asks }) => asks === one.id).map(({ id }) => id),
  }));
}

type Words = Channel<string>;

async function oneByOne(
  ctx: TaskContext,
  words: Words,
  missing: Map<string, number>,
): Promise<Message<string>[]> {
  const heard: Message<string>[] = [];
  const open = (): string[] => [...missing].filter(([, n]) => n > 0).map(([from]) => from);
  while (open().length > 0) {
    const message = await ctx.receive(words, { from: open() });
    heard.push(message);
    missing.set(message.from, (missing.get(message.from) as number) - 1);
  }
  return heard;
}

function together(
  ctx: TaskContext,
  words: Words,
  missing: ReadonlyMap<string, number>,
): Promise<Message<string>[]> {
  const count = [...missing.values()].reduce((sum, n) => sum + n, 0);
  return lastValueFrom(ctx.receive$(words, { from: [...missing.keys()] }).pipe(take(count), toArray()));
}

function networkOf(seed: number): { readonly parts: readonly Part[]; define(): Workflow } {
  const random = seededRandom(seed);
  const parts = drawParts(random);
  const capacity = 1 + Math.floor(random() * 3);
  const concurrency = 1 + Math.floor(random() * 3);
  const streams = parts.map(() => random() < 0.3);
  const pauses = parts.map(() => Math.floor(random() * 4));
  const define = (): Workflow => {
    const words = channel<string>('words', { capacity });
    const flow = workflow({ name: 'network', concurrency, retry: { count: 4, backoff: () => 2 } });
    for (const [i, { id, says, reads, asks, askers }] of parts.entries())
      flow.task(id, {
        run: async (_, ctx) => {
          for (const word of says) {
            await ctx.send(words, word);
            await ctx.sleep(pauses[i] as number);
          }
          // An earlier one may have to serve this one before it ends: it is read until it has said all.
          const missing = new Map(
            reads.map((from) => [from, parts.find((one) => one.id === from)?.says.length ?? 0]),
          );
          const heard =
            streams[i] === true ? await together(ctx, words, missing) : await oneByOne(ctx, words, missing);
          const reply = asks === undefined ? undefined : await ctx.ask(asks, `${id} asks`);
          const asked: unknown[] = [];
          for await (const request of ctx.requests$({ from: askers })) {
            asked.push(request.value);
            await request.reply(`${id} to ${String(request.value)}`);
          }
          return { heard: heard.map(({ from, value }) => [from, value]), reply, asked };
        },
      });
    return flow as unknown as Workflow;
  };
  return { parts, define };
}

function exactlyWhatWasSaid(parts: readonly Part[]): Invariant {
  return {
    name: 'everybody heard exactly what was said to it',
    end: (life) => {
      const { result } = life.trialRun;
      if (result === undefined) return undefined;
      if (result.status !== 'succeeded' && !life.trialRun.events.some(isExplored))
        return String(result.report);
      for (const { id, reads, asks, askers } of parts) {
        const found = result.results.get(id) as
          | { heard: [string, string][]; reply: unknown; asked: unknown[] }
          | undefined;
        if (found === undefined) continue;
        for (const from of reads) {
          const wanted = parts.find((one) => one.id === from)?.says;
          const heard = found.heard.filter(([who]) => who === from).map(([, word]) => word);
          if (JSON.stringify(heard) !== JSON.stringify(wanted))
            return `${id} heard ${heard.join()} of ${from}`;
        }
        if (asks !== undefined && found.reply !== `${asks} to ${id} asks`)
          return `${id} got ${String(found.reply)}`;
        const served = askers.filter((asker) => result.results.has(asker)).map((asker) => `${asker} asks`);
        if (!served.every((one) => found.asked.filter((asked) => asked === one).length === 1))
          return `${id} was asked ${found.asked.join()}`;
      }
      return undefined;
    },
  };
}

const isExplored = (event: { readonly type: string; readonly error?: unknown }): boolean =>
  (event.error as { code?: string } | undefined)?.code === 'explored';

const first = Number(process.env.SEED ?? Date.now() % 1_000_000_000);
const networks = Number(process.env.RUNS ?? 200);

test('random networks, with failures and crashes: all end, and heard exactly what was said', async () => {
  let crashes = 0;
  for (let seed = first; seed < first + networks; seed++) {
    const { parts, define } = networkOf(seed);
    try {
      const options = {
        schedules: 2,
        seed,
        failures: 0.1,
        records: 12,
        invariants: [exactlyWhatWasSaid(parts)],
      };
      crashes += (await explore(define, options)).crashes;
    } catch (error) {
      assert.instance(error, ExploreError, String(error));
      assert.unreachable(`SEED=${seed} RUNS=1 (${JSON.stringify(parts)}): ${(error as Error).message}`);
    }
  }
  assert.ok(networks < 100 || crashes > networks / 10, `${crashes} crashes, SEED=${first}`);
});

test.run();
