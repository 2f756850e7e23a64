import { Observable, type SchedulerAction, type SchedulerLike, Subscription } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type LimiterSettings, type Task, virtual, type WorkflowEvent, workflow } from '../../lib/index.js';
import { seededRandom } from '../../lib/kernel/random.js';
import { SimulationScheduler } from '../../lib/testing/index.js';
import { ProviderLedger, type ProviderOptions } from '../../lib/testing/provider/provider-ledger.js';

// How close limiters come to what a provider allows where requests leave late and arrive late: a model of real time in
// virtual time, from seeds.

/** What is late, in ms. */
interface World {
  /** Each request and each answer is up to so long under way. */
  readonly way: number;
  /** The event loop works so long for each request and answer, and as long again for a new connection. */
  readonly work: number;
  /** The event loop stands still for up to so long, every so often. */
  readonly loop?: readonly [most: number, every: number];
  /** The same for the network: what was sent meanwhile arrives afterwards. */
  readonly network?: readonly [most: number, every: number];
}

const longest = 400_000;

/** Times at which something stands still. */
class Stalls {
  readonly #all: [from: number, to: number][] = [];

  constructor(random: () => number, [most, every]: readonly [number, number] = [0, longest]) {
    for (let at = random() * 2 * every; at < longest && most > 0; at += most + random() * 2 * every)
      this.#all.push([at, at + most * (0.3 + 0.7 * random())]);
  }

  /** When what is due at `at` happens. */
  after(at: number): number {
    for (const [from, to] of this.#all) if (at >= from && at < to) return to;
    return at;
  }
}

/** A process with an event loop that is busy, a way to a provider, and the provider. It takes its time for the real one. */
class Rig {
  readonly scheduler: SchedulerLike;
  readonly provider: ProviderLedger;
  readonly sim = new SimulationScheduler();
  readonly events: WorkflowEvent[] = [];
  /** Calls that got their answer, and calls that were made. */
  answered = 0;
  made = 0;
  readonly #world: World;
  readonly #random: () => number;
  readonly #loop: Stalls;
  readonly #network: Stalls;
  /** Until when the event loop works. */
  #busy = 0;
  #idleConnections = 0;

  constructor(seed: number, world: World, limits: ProviderOptions, began: number) {
    const { sim } = this;
    this.#world = world;
    this.#random = seededRandom(seed);
    this.#loop = new Stalls(this.#random, world.loop);
    this.#network = new Stalls(this.#random, world.network);
    this.provider = new ProviderLedger({ latency: [20, 120], ...limits, seed }, () => sim.now());
    this.scheduler = {
      now: () => began + sim.now(),
      schedule: <T>(work: (this: SchedulerAction<T>, state: T) => void, delay = 0, state?: T) =>
        this.#inLoop(delay, () => work.call(undefined as never, state as T)),
    };
  }

  /** Share of its calls that were refused, in %. */
  get refused(): number {
    return (1 - this.answered / this.made) * 100;
  }

  /** Share of the rate at which the last one would arrive `bound` ms after the first one, in %. */
  share(bound: number): number {
    const { firstAt, lastAt } = this.provider.stats;
    return (bound / (lastAt - firstAt)) * 100;
  }

  /** Ms for which refusals held everybody. */
  get holds(): number[] {
    return this.events.flatMap((event) =>
      event.type === 'group' && event.reason === 'gated' ? [event.delay ?? 0] : [],
    );
  }

  /** One request; the answer has the provider's headers. */
  call(tokens: number): Observable<Readonly<Record<string, string>>> {
    return new Observable((subscriber) => {
      const fresh = this.#idleConnections === 0;
      if (!fresh) this.#idleConnections -= 1;
      this.#works(fresh ? 2 : 1);
      const left = this.#loop.after(Math.max(this.#busy, this.sim.now()));
      this.#at(this.#network.after(left + this.#way()), () => {
        this.made += 1;
        const { accepted, latency, headers } = this.provider.arrive(tokens);
        this.#inLoop(latency + this.#way(), () => {
          this.#works(1);
          this.#idleConnections += 1;
          if (!accepted)
            return subscriber.error(Object.assign(new Error('too many requests'), { status: 429, headers }));
          this.answered += 1;
          this.provider.leave();
          subscriber.next(headers);
          subscriber.complete();
        });
      });
    });
  }

  /** Somebody else makes a call every so many ms. */
  others(every: number): void {
    for (let at = 0; at < 120_000; at += every)
      this.sim.schedule(() => {
        if (this.provider.arrive(1).accepted) this.provider.leave();
      }, at);
  }

  #way(): number {
    return 1 + this.#random() * this.#world.way;
  }

  #works(parts: number): void {
    this.#busy = Math.max(this.#busy, this.sim.now()) + parts * this.#world.work;
  }

  #at(time: number, work: () => void): Subscription {
    return this.sim.schedule(work, Math.max(0, time - this.sim.now()));
  }

  /** Calls `work` when it is due and the event loop has time. */
  #inLoop(delay: number, work: () => void): Subscription {
    const all = new Subscription();
    const fire = (): void => {
      const at = Math.max(this.#busy, this.#loop.after(this.sim.now()));
      if (at > this.sim.now()) all.add(this.#at(Math.ceil(at), fire));
      else work();
    };
    all.add(this.#at(this.sim.now() + delay, fire));
    return all;
  }
}

interface Load {
  readonly agents: number;
  readonly steps: number;
  readonly limits: LimiterSettings & ProviderOptions;
  /** What else the provider does. */
  readonly provider?: ProviderOptions;
  /** Somebody else who uses the same key asks every so many ms. */
  readonly othersEvery?: number;
  readonly tokens?: number;
}

/** Lets agents, each a chain of calls, do what they can; `watch` gets the rig before time goes on. */
function fanOut(
  seed: number,
  world: World,
  { agents, steps, limits, provider, tokens = 200, othersEvery }: Load,
): Rig {
  const { now } = Date;
  const began = 1_800_000_000_000;
  const rig = new Rig(seed, world, { ...limits, ...provider }, began);
  // The clock of the world is that of the model: else the limiter would take it for virtual time, where nothing is late.
  Date.now = () => began + rig.sim.now();
  try {
    const flow = workflow({
      name: 'agents',
      concurrency: agents,
      retry: 20,
      groups: { llm: { limiter: virtual(limits) } },
    });
    for (let agent = 0; agent < agents; agent++) {
      let before: Task<unknown>[] = [];
      for (let step = 0; step < steps; step++)
        before = [
          flow.task(`agent ${agent}.${step}`, {
            group: 'llm',
            type: 'step',
            tokens,
            dependencies: before,
            run: () => rig.call(tokens),
          }),
        ];
    }
    const run = flow.run({ scheduler: rig.scheduler, seed });
    let ended = false;
    run.events$.subscribe({
      next: (event) => rig.events.push(event),
      complete: () => {
        ended = true;
      },
    });
    run.result().then(() => undefined);
    if (othersEvery !== undefined) rig.others(othersEvery);
    while (!ended && rig.sim.step());
    assert.ok(ended, `seed ${seed}: it hangs`);
    assert.is(rig.answered, agents * steps, `seed ${seed}: calls`);
    return rig;
  } finally {
    Date.now = now;
  }
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;
const seeds = Array.from({ length: 10 }, (_, i) => i + 1);
const second: Load = { agents: 64, steps: 20, limits: { requestsPerSecond: 100 } };
const worlds: Readonly<Record<string, World>> = {
  'that is quiet': { way: 6, work: 0.5 },
  'with a way that takes 1 to 16 ms': { way: 15, work: 0.5 },
  'whose event loop stands still for up to 60 ms': { way: 15, work: 0.5, loop: [60, 1_500] },
  'whose event loop does so three times a second': { way: 15, work: 0.5, loop: [60, 300] },
  'whose network stands still for up to 60 ms': { way: 15, work: 0.5, network: [60, 3_000] },
  'with all of that': { way: 15, work: 0.5, loop: [60, 1_500], network: [60, 3_000] },
};

for (const [name, world] of Object.entries(worlds)) {
  test(`100 a second use 95 % of the rate in a world ${name}, with at most 2 % refused`, () => {
    // 1,280 calls: the last of 13 windows begins after 12 s.
    const rigs = seeds.map((seed) => fanOut(seed, world, second));
    const share = median(rigs.map((rig) => rig.share(12_000)));
    assert.ok(share >= 95, `${share} % of the rate`);
    const refused = median(rigs.map((rig) => rig.refused));
    assert.ok(refused <= 2, `${refused} % refused`);
  });
}

test('windows of a minute use 98 % of the rate in the worst of these worlds', () => {
  const world = worlds['with all of that'] as World;
  for (const seed of seeds.slice(0, 3)) {
    const requests = fanOut(seed, world, { agents: 64, steps: 10, limits: { requestsPerMinute: 300 } });
    assert.ok(requests.share(120_000) >= 98, `${requests.share(120_000)} % of the requests`);
    assert.is(requests.refused, 0);
    const limits = { requestsPerMinute: 600, tokensPerMinute: 30_000 };
    const tokens = fanOut(seed, world, { agents: 64, steps: 8, limits });
    assert.ok(tokens.share(180_000) >= 98, `${tokens.share(180_000)} % of the tokens`);
    assert.is(tokens.refused, 0);
  }
});

test('a refusal of what only just fitted holds the group for some ms, not for the second the provider names', () => {
  const world = worlds['whose network stands still for up to 60 ms'] as World;
  const holds = seeds.flatMap((seed) => fanOut(seed, world, second).holds);
  assert.ok(holds.length > 0, 'something is refused');
  assert.ok(Math.max(...holds) <= 100, `held for ${holds}`);
});

test('a refusal that lateness does not explain holds the group for as long as the provider says', () => {
  const world = worlds['that is quiet'] as World;
  const full = { agents: 10, steps: 2, limits: { requestsPerSecond: 100 }, provider: { capacity: 5 } };
  const { holds } = fanOut(1, world, full);
  assert.ok(holds.length > 0 && Math.min(...holds) >= 1_000, `its window had room: held for ${holds}`);
  for (const seed of seeds.slice(0, 3)) {
    const rig = fanOut(seed, world, { ...second, othersEvery: 20 });
    assert.ok(Math.min(...rig.holds) >= 1_000, `others use the key too: held for ${rig.holds}`);
  }
});

test.run();
