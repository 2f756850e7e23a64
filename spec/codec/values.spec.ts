import { deepStrictEqual } from 'node:assert';
import { tap } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AgentTask,
  channel,
  collection,
  fallback,
  human,
  latest,
  memory,
  optional,
  orElse,
  quorum,
  type RxhiveError,
  race,
  settled,
  type TaskContext,
  typed,
  WorkflowOrchestrator,
  type WorkflowResult,
  workflow,
} from '../../lib/index.js';

const codeOf = (error: unknown): string | undefined => (error as RxhiveError | undefined)?.code;

const refusal = (promise: Promise<unknown>): Promise<string | undefined> =>
  promise.then(() => undefined, codeOf);

/** The same data twice: the names of objects, and the entries of a Map and a Set, in another order. */
const orders = [
  { id: 1, about: { topic: 'bees', tags: new Set(['a', { x: 1, y: 2 }]) }, by: new Map([['p', 1], ['q', 2]]) }, // biome-ignore format: one beside the other
  { by: new Map([['q', 2], ['p', 1]]), about: { tags: new Set([{ y: 2, x: 1 }, 'a']), topic: 'bees' }, id: 1 }, // biome-ignore format: one beside the other
] as const;
const other = { ...orders[0], about: { ...orders[0].about, tags: new Set(['a']) } };

test('the input of a run that goes on is the same in any order of names and entries', async () => {
  const store = memory();
  const go = (input: unknown): Promise<{ readonly status: string }> => {
    const flow = workflow({ name: 'input', input: typed<unknown>() });
    flow.task('a', { run: () => 1 });
    return flow.run({ store, runId: 'r', input }).result();
  };
  await go(orders[0]);
  assert.is((await go(orders[1])).status, 'succeeded');
  assert.is(await refusal(go(other)), 'INVALID_INPUT');
});

test('a kept result is found by the same inputs in any order of names and entries', async () => {
  const store = memory();
  let calls = 0;
  for (const given of [...orders, other]) {
    const flow = workflow({ name: 'kept' });
    const doc = flow.task('doc', { run: () => given });
    flow.task('dear', { dependencies: { doc }, version: '1', cache: {}, run: () => ++calls });
    await flow.run({ store }).result();
  }
  assert.is(calls, 2);
});

test('what a body that runs again asks and says is known in any order of names and entries', async () => {
  const said = channel<unknown>('said');
  const flow = workflow({ name: 'again' });
  flow.task('asks', {
    retry: { count: 1, backoff: { initial: 1 } },
    run: async (_, ctx) => {
      const context = orders[ctx.attempt - 1];
      await ctx.send(said, context);
      const reply = await ctx.ask('replies', context);
      const answer = await ctx.ask(human(typed<unknown>(), { prompt: 'Pay?', context }));
      if (ctx.attempt === 1) throw new Error('once more');
      await ctx.send(said, other);
      return [reply, answer];
    },
  });
  flow.task('replies', {
    run: async (_, ctx) => {
      for await (const request of ctx.requests$()) {
        await request.reply('yes');
        break;
      }
    },
  });
  const run = flow.run();
  const sent: string[] = [];
  run.events$.subscribe((event) => {
    if (event.type === 'message') sent.push(event.reason);
  });
  const questions: string[] = [];
  const answers: (string | undefined)[] = [];
  run.questions$.subscribe((open) => {
    for (const { id } of open) {
      questions.push(id);
      const answered = run.answer(id, orders[0]);
      // The same answer once more is no other answer.
      void answered.then(async () => {
        answers.push(await refusal(run.answer(id, orders[1])), await refusal(run.answer(id, other)));
      });
    }
  });
  const result = await run.result();
  assert.equal(result.results.get('asks'), ['yes', orders[0]]);
  assert.equal(questions, ['asks?1']);
  assert.equal(answers, [undefined, 'ALREADY_ANSWERED']);
  assert.equal(
    sent.filter((reason) => reason === 'sent' || reason === 'repeated' || reason === 'asked'),
    ['sent', 'asked', 'repeated', 'repeated', 'sent'],
  );
});

type Anything = Record<string, unknown>;

/** Runs a task on a state, then once more from the log. */
async function twice(
  run: (ctx: TaskContext<Anything>) => unknown,
  state: Anything = {},
): Promise<[first: WorkflowResult<Anything>, again: WorkflowResult<Anything>]> {
  const store = memory();
  const make = (): Promise<WorkflowResult<Anything>> => {
    const flow = workflow({ name: 'twice', state });
    flow.task('t', { version: '1', run: (_, ctx) => run(ctx) });
    return flow.run({ store, runId: 'r' }).result();
  };
  return [await make(), await make()];
}

const error = ([{ tasks }]: [WorkflowResult<Anything>, unknown]): RxhiveError =>
  tasks.get('t')?.error as RxhiveError;

test('what a file has comes back as a Buffer, and bytes of each kind as they were', async () => {
  const values = {
    file: Buffer.from('hi'),
    part: new Uint8Array([1, 2, 3, 4]).subarray(1, 3),
    floats: Float32Array.of(0.5, -0),
    view: new DataView(Uint8Array.of(7, 8).buffer),
    buffer: Uint8Array.of(9).buffer,
  };
  const [, again] = await twice(() => ({ ...values, never: new Date(Number.NaN) }));
  const { never, ...back } = again.results.get('t') as typeof values & { never: Date };
  // No equality of Node takes one for another.
  assert.ok(Number.isNaN(never.getTime()));
  assert.ok(Buffer.isBuffer(back.file));
  assert.is(String(back.file), 'hi');
  assert.equal([...back.part], [2, 3]);
  assert.equal(back, values);
  assert.is(back.view.getInt8(1), 8);
});

test('errors come back with cause and errors; a class of their own becomes the nearest of the language', async () => {
  class Refused extends TypeError {
    readonly code = 429;
  }
  const values = [
    new AggregateError([new RangeError('a'), 'b'], 'all', { cause: { tries: 3 } }),
    new Error('why', { cause: undefined }),
    new Refused('no'),
    new DOMException('stop', 'AbortError'),
  ];
  const [, again] = await twice(() => values);
  const [all, why, refused, stop] = again.results.get('t') as typeof values;
  assert.instance(all, AggregateError);
  assert.equal((all as AggregateError).errors, [new RangeError('a'), 'b']);
  assert.equal([all?.cause, Object.hasOwn(why as Error, 'cause')], [{ tries: 3 }, true]);
  assert.instance(refused, TypeError);
  assert.equal([refused?.message, (refused as Refused).code], ['no', 429]);
  assert.equal([stop?.name, stop?.message], ['AbortError', 'stop']);
});

test('what a log cannot keep is refused with its place, as who wrote the body knows it', async () => {
  class Bee {}
  class Comb extends Map {}
  const places: [RegExp, (ctx: TaskContext<Anything>) => unknown, Anything?][] = [
    [
      /^the result\.items\[3\] is a Bee, which a store cannot keep; return plain data/,
      () => ({ items: [0, 1, 2, new Bee()] }),
    ],
    [/^the result is a Comb, a subclass of Map, .* make a Map of it/, () => new Comb()],
    [
      /^the result\.a\["b c"\]\.get\("k"\) is a symbol/,
      () => ({ a: { 'b c': new Map([['k', Symbol('s')]]) } }),
    ],
    [/^the result \(key 0\) is a function/, () => new Map([[() => 1, 1]])],
    [
      /^the result \(entry 1\)\.x is a Promise, .* await it first/,
      () => new Set([1, { x: Promise.resolve() }]),
    ],
    [/^the result\.cause\.socket is a Bee/, () => new Error('no', { cause: { socket: new Bee() } })],
    [/^the result\.self is a circle/, () => { const a: Anything = {}; a.self = a; return a; }], // biome-ignore format: short
    [/^state\.docs\.a\[0\] is a Bee/, (ctx) => ctx.update((s) => { (s.docs as Anything).a = [new Bee()]; }), { docs: {} }], // biome-ignore format: short
    [/^state\.docs is a Bee/, (ctx) => ctx.update((s) => { s.docs = new Bee(); })], // biome-ignore format: short
    [/^state\.docs\.get\("k"\)\.x is a Bee/, (ctx) => ctx.update((s) => { (s.docs as Map<string, unknown>).set('k', { x: new Bee() }); }), { docs: collection() }], // biome-ignore format: short
    [/^state\.docs\.get\(1\) is a Bee/, (ctx) => ctx.update((s) => { (s.docs as Map<number, unknown>).set(1, new Bee()); }), { docs: new Map() }], // biome-ignore format: short
    [/^state\.x is an object with the reserved name __proto__/, (ctx) => ctx.update((s) => { s.x = JSON.parse('{"__proto__":1}'); })], // biome-ignore format: short
    [
      /^the context of the question\.to is a Bee/,
      (ctx) => ctx.ask(human(typed<unknown>(), { prompt: 'Pay?', context: { to: new Bee() } })),
    ],
    [/^the message\.x is a Bee/, (ctx) => ctx.send(channel<unknown>('said'), { x: new Bee() })],
  ];
  for (const [message, run, state] of places) {
    const refused = error(await twice(run, state));
    assert.is(refused?.code, 'NOT_SERIALIZABLE', String(message));
    assert.match(refused.message, message);
  }
  const flow = workflow({ name: 'input', input: typed<unknown>() });
  flow.task('t', { run: () => 1 });
  const run = flow.run({ store: memory(), input: { docs: [new Bee()] } });
  const failed = await run.result().catch((fault: unknown) => fault as RxhiveError);
  assert.match((failed as RxhiveError).message, /^the input\.docs\[0\] is a Bee/);
});

test('ten thousand levels, and objects in very many places, are refused with a code and at once', async () => {
  const deep = (depth: number): unknown => {
    let value: unknown = 'end';
    for (let i = 0; i < depth; i++) value = i % 2 === 0 ? { next: value } : [value];
    return value;
  };
  let doubled: unknown = { text: 'x' };
  for (let i = 0; i < 30; i++) doubled = [doubled, doubled];
  for (const value of [deep(10_000), doubled]) {
    const results = error(await twice(() => value));
    assert.is(results.code, 'NOT_SERIALIZABLE');
    assert.match(
      results.message,
      /^the result.* is (nested deeper than 500 levels|longer than 8388608 characters)/,
    );
    const states = error(await twice((ctx) => ctx.update((s) => { s.x = value; }))); // biome-ignore format: short
    assert.is(states.code, 'NOT_SERIALIZABLE');
    const said = error(await twice((ctx) => ctx.send(channel<unknown>('said'), value)));
    assert.is(said.code, 'NOT_SERIALIZABLE');
    const asked = error(await twice((ctx) => ctx.ask(human(typed<unknown>(), { context: value }))));
    assert.is(asked.code, 'NOT_SERIALIZABLE');
    const flow = workflow({ name: 'given', input: typed<unknown>() });
    flow.task('t', { run: () => 1 });
    assert.is(await refusal(flow.run({ store: memory(), input: value }).result()), 'NOT_SERIALIZABLE');
  }
  const flat = [deep(450), Array(3).fill(deep(50))];
  const [, again] = await twice(() => flat);
  assert.equal(JSON.stringify(again.results.get('t')), JSON.stringify(flat));
});

test('a state with any keys and any entries goes on as it was, whatever was added, changed and taken out', async () => {
  const keys = ['a', 1, Number.NaN, true, null, 5n, new Date(0), { k: 1 }, ['a', 1], new Map([[1, 2]])];
  for (const key of keys) {
    for (const other of ['b', ...keys]) {
      const bee = { n: 1 };
      const steps: ((s: { m: Map<unknown, { n: number }>; set: Set<unknown>; list: unknown[] }) => void)[] = [
        (s) => void s.m.set(key, { n: 1 }),
        (s) => void s.set.add(key).add(bee),
        (s) => void s.m.set(other, { n: 5 }),
        (s) => { for (const one of s.m.values()) one.n += 1; }, // biome-ignore format: short
        (s) => { for (const one of s.set) if (typeof one === 'object' && one !== null && 'n' in one) (one as { n: number }).n = 7; }, // biome-ignore format: short
        (s) => { s.list.push({ set: new Set([{ x: 1 }]), m: new Map([[key, { n: 1 }]]) }); }, // biome-ignore format: short
        (s) => { const [first] = s.list as [{ set: Set<{ x: number }>; m: Map<unknown, { n: number }> }]; for (const one of first.set) one.x = 2; for (const one of first.m.values()) one.n = 2; }, // biome-ignore format: short
        (s) => { s.set.delete(key); s.set.delete(other); s.m.delete(other); }, // biome-ignore format: short
        (s) => { s.list.unshift(0); }, // biome-ignore format: short
      ];
      const store = memory();
      const make = (): Promise<WorkflowResult> => {
        const state = { m: new Map(), set: new Set(), list: [] };
        const flow = workflow({ name: 'keys', concurrency: 1, state });
        for (const [i, step] of steps.entries())
          flow.task(`t${i}`, { version: '1', run: (_, ctx) => ctx.update(step) });
        return flow.run({ store, runId: 'r' }).result();
      };
      const first = (await make()).orThrow();
      const again = (await make()).orThrow();
      assert.is(again.report.counts.restored, steps.length);
      deepStrictEqual(again.state, first.state);
      // The changes taken back lead to the beginning.
      const past = await workflow({
        name: 'keys',
        state: { m: new Map(), set: new Set(), list: [] },
      }).history(store, 'r');
      deepStrictEqual(past.snapshotAt(past.last).state, first.state);
    }
  }
});

/** Changes what it is given in every way its kind allows; says what it had found. */
function spoil(given: Doc): string {
  const found = JSON.stringify([
    given,
    [...given.map],
    [...given.set],
    String(given.bytes),
    given.found.size,
  ]);
  given.items.shift();
  given.items[0] = 'spoilt';
  (given as { extra?: true }).extra = true;
  given.map.clear();
  given.set.add('more');
  given.bytes.fill(0);
  given.date.setTime(0);
  given.found.set('b', 2);
  return found;
}

const makeDoc = () => ({
  items: ['a', 'b', 'c'],
  map: new Map([['k', { n: 1 }]]),
  set: new Set(['one']),
  bytes: Buffer.from('hi'),
  date: new Date(5),
  found: collection([['a', 1]]),
});
type Doc = ReturnType<typeof makeDoc>;

for (const [name, store] of [['without a store', undefined], ['with a store', memory()]] as const) // biome-ignore format: one line
  test(`${name}: what a body does to what it was given changes nothing for others`, async () => {
    const doc = makeDoc();
    const good = spoil(makeDoc());
    const found: Record<string, string[]> = {};
    const note = (who: string, given: Doc | undefined): void => {
      found[who] = [...(found[who] ?? []), spoil(given as Doc)];
    };
    const retry = { count: 1, backoff: { initial: 1 } };
    const flow = workflow({ name: 'given', input: typed<Doc>(), concurrency: 1 });
    const made = makeDoc();
    const source = flow.task('source', { run: () => made });
    const failed = flow.task('failed', {
      tolerate: true,
      run: () => {
        throw new Error('no');
      },
    });
    flow.task('keeps on', {
      dependencies: [source],
      // Who has given it holds it still.
      run: () => void spoil(made),
    });
    const other = makeDoc();
    const again = (who: string, ctx: { attempt: number }, given: Doc | undefined): void => {
      note(who, given);
      if (ctx.attempt === 1) throw new Error('once more');
    };
    flow.task('value', {
      dependencies: { source },
      retry,
      run: ({ source }, ctx) => again('value', ctx, source),
    });
    flow.task('optional', {
      dependencies: [optional(source)],
      retry,
      run: ([one], ctx) => again('optional', ctx, one),
    });
    flow.task('settled', {
      dependencies: [settled(source)],
      retry,
      run: ([one], ctx) => again('settled', ctx, one.status === 'succeeded' ? one.value : undefined),
    });
    flow.task('orElse', {
      dependencies: [orElse(failed, other)],
      retry,
      run: ([one], ctx) => again('orElse', ctx, one as Doc),
    });
    flow.task('race', {
      dependencies: [race([source])],
      retry,
      run: ([one], ctx) => again('race', ctx, one),
    });
    flow.task('quorum', {
      dependencies: [quorum(1, [source])],
      retry,
      run: ([[one]], ctx) => again('quorum', ctx, one),
    });
    flow.task('latest', {
      dependencies: [latest(source)],
      run: (given$) => given$.pipe(tap(([one]) => note('latest', one))),
    });
    flow.task('joins', {
      run: async (_, ctx) => {
        note('joins', await ctx.join(source));
        note('joins', (await ctx.join({ source })).source);
      },
    });
    flow.task('input', { retry, run: (_, ctx) => again('input', ctx, ctx.input) });
    flow.task('input, later', { run: (_, ctx) => note('input', ctx.input) });
    flow.each('items', {
      dependencies: { source },
      from: ({ source }) => {
        source.items.pop();
        return [makeDoc()];
      },
      key: () => 'one',
      retry,
      run: (item, ctx, inputs) => {
        assert.throws(() => inputs.source.items.pop(), TypeError);
        again('items', ctx, item);
      },
    });
    const tries = fallback([
      {
        name: 'first',
        run: (given: Doc) => {
          note('fallback', given);
          throw new Error('busy');
        },
      },
      { name: 'second', run: (given: Doc) => note('fallback', given) },
    ]);
    flow.task('fallback', { dependencies: [source], run: ([one], ctx) => tries(one, ctx as never) });
    const run = flow.run({ input: doc, ...(store !== undefined && { store, runId: 'r' }) });
    run.result$(source).subscribe((one) => note('watches', one));
    const result = await run.result();
    assert.equal(result.status, 'succeeded', String(result.report));
    assert.equal(
      found,
      Object.fromEntries(Object.entries(found).map(([who, all]) => [who, all.map(() => good)])),
    );
    assert.is(Object.values(found).flat().length, 23);
    deepStrictEqual(result.results.get(source), makeDoc());
    deepStrictEqual([doc, other], [makeDoc(), makeDoc()]);
    if (store === undefined) return;
    deepStrictEqual((await flow.history(store, 'r')).snapshotAt(4).results.get('source'), makeDoc());
    assert.is((await flow.run({ input: doc, store, runId: 'r' }).result()).status, 'succeeded');
  });

test('a run has the input that it was made with, whatever becomes of it outside', async () => {
  const given = makeDoc();
  const flow = workflow({ name: 'given', input: typed<Doc>() });
  const t = flow.task('t', { run: (_, ctx) => spoil(ctx.input) });
  const run = flow.run({ input: given });
  spoil(given);
  assert.is((await run.result()).results.get(t), spoil(makeDoc()));
});

test('data of added tasks are their own, in each attempt, and are refused with their place', async () => {
  for (const store of [undefined, memory()]) {
    const flow = workflow({ name: 'typed' });
    const seen: unknown[] = [];
    const child = flow.taskType('child', {
      retry: { count: 1, backoff: { initial: 1 } },
      run: (data: { items: unknown[] }, ctx) => {
        seen.push(data.items.pop());
        if (ctx.attempt === 1) throw new Error('once more');
      },
    });
    flow.task('adds', {
      run: (_, ctx) => {
        const data = { items: ['a'] };
        ctx.spawn(child, 'c', data);
        data.items.push('b');
      },
    });
    for (const joins of [true, false])
      flow.task(`wrong ${joins}`, {
        run: async (_, ctx) => {
          const added = ctx.spawn(child, `c ${joins}`, { items: [() => 1] });
          if (joins) await ctx.join(added);
        },
      });
    const { tasks } = await flow.run({ ...(store !== undefined && { store, runId: 'r' }) }).result();
    assert.equal(
      seen.filter((one) => typeof one === 'string'),
      ['a', 'a'],
    );
    if (store === undefined) continue;
    for (const id of ['wrong true', 'wrong false'])
      assert.match(
        String(tasks.get(id)?.error),
        /: the data of task "c (true|false)"\.items\[0\] is a function/,
      );
  }
});

test('an agent, its handlers and each of its attempts have data of their own', async () => {
  const data = { items: ['a'] };
  const given = makeDoc();
  const seen: unknown[] = [];
  const orchestrator = new WorkflowOrchestrator({
    agents: {
      one: (call, ctx) => {
        seen.push((call.data as typeof data).items.pop());
        if (ctx.attempt === 1) throw new Error('once more');
        return given;
      },
    },
  });
  orchestrator.addTask(
    new AgentTask({ id: 'a', agentType: 'one', data, retry: { count: 1, backoff: { initial: 1 } } }),
  );
  for (let i = 0; i < 2; i++) orchestrator.onTaskComplete('a', (result) => seen.push(spoil(result as Doc)));
  const { results } = await orchestrator.executeWorkflow();
  assert.equal(seen, ['a', 'a', spoil(makeDoc()), spoil(makeDoc())]);
  assert.equal(data, { items: ['a'] });
  deepStrictEqual(results.get('a'), makeDoc());
});

test('without a store, what no log can keep is shared as it is, and never frozen', async () => {
  class Browser {
    pages = 0;
  }
  const circle: Anything = { list: [] };
  circle.self = circle;
  const session = { browser: new Browser(), counter: { n: 0, add() { this.n += 1; } }, circle }; // biome-ignore format: short
  const flow = workflow({ name: 'shared' });
  const opens = flow.task('opens', { run: () => session });
  for (const id of ['one', 'two'])
    flow.task(id, {
      dependencies: { opens },
      run: ({ opens }) => {
        opens.browser.pages += 1;
        opens.counter.add();
        (opens.circle.list as unknown[]).push(id);
        assert.is(opens.circle.self, opens.circle);
      },
    });
  const result = (await flow.run().result()).orThrow();
  assert.is(result.results.get(opens)?.browser, session.browser);
  assert.equal([session.browser.pages, session.counter.n, circle.list], [2, 2, []]);
});

test('identical work that goes on at the same time gives each a result of its own', async () => {
  const flow = workflow({ name: 'flight', concurrency: 3 });
  const found: string[] = [];
  for (const id of ['a', 'b', 'c']) {
    const dear = flow.task(id, {
      version: '1',
      cache: { key: () => 'same' },
      run: async (_, ctx) => {
        await ctx.sleep(5);
        return makeDoc();
      },
    });
    flow.task(`${id}, spoilt`, { dependencies: { dear }, run: ({ dear }) => void found.push(spoil(dear)) });
  }
  const { results } = (await flow.run().result()).orThrow();
  assert.equal(found, Array(3).fill(spoil(makeDoc())));
  for (const id of ['a', 'b', 'c']) deepStrictEqual(results.get(id), makeDoc());
});

test('content of agents counts as the same in any order of its names', async () => {
  const store = memory();
  let calls = 0;
  for (const data of [
    { a: 1, b: { c: 1, d: 2 } },
    { b: { d: 2, c: 1 }, a: 1 },
  ]) {
    const orchestrator = new WorkflowOrchestrator({ agents: { one: { version: '1', run: () => ++calls } } });
    orchestrator.addTask(new AgentTask({ id: 'a', agentType: 'one', data }));
    await orchestrator.executeWorkflow({ store, runId: 'r' });
  }
  assert.is(calls, 1);
});

test('an error in the state comes back whole, whatever its fields are called', async () => {
  const value = Object.assign(new Error('no'), { constructor: collection([['a', 1]]) });
  const store = memory();
  const go = () => {
    const flow = workflow({ name: 'fields', state: {} as { x?: Error } });
    flow.task('t', {
      version: '1',
      run: (_, ctx) =>
        ctx.update((s) => {
          s.x = value;
        }),
    });
    return flow.run({ store, runId: 'r' }).result();
  };
  for (const { state } of [await go(), await go()]) assert.is(state.x?.message, 'no');
});

test.run();
