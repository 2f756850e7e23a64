import fc from 'fast-check';
import type { Executor } from '../../lib/entry/types.js';
import {
  type Channel,
  type Collection,
  callback,
  channel,
  collection,
  type Dependency,
  failed,
  fallback,
  human,
  optional,
  quorum,
  race,
  settled,
  type Task,
  type TaskContext,
  type TaskType,
  typed,
  type Workflow,
  workflow,
} from '../../lib/index.js';
import { fnv1a } from '../../lib/kernel/hash.js';

type AnyDependency = Task | Dependency;

/** How a task uses what it depends on or joins. */
type Mode = 'value' | 'optional' | 'settled' | 'failed';

/** What every task may do. Numbers name places: they are taken modulo what there is. */
export interface Work {
  /** Ms it takes. */
  readonly takes: number;
  /** How it spends that time: with its slot, without it, or with something outside of the run. */
  readonly waits: 'working' | 'aside' | 'outside';
  /** Units it takes of what there are two. */
  readonly uses: number;
  /** Attempts that fail; `always`: all of them. */
  readonly fails: number | 'always';
  readonly writes: readonly Write[];
  readonly serializable: boolean;
  /** Its condition says so, now or later; or its body decides that there is nothing to do. */
  readonly decides: 'nothing' | 'yes' | 'no' | 'skips';
  /** Asks a person. */
  readonly asks: boolean;
  /** Words it says. */
  readonly says: number;
  /** Waits for its children one after the other, instead of for all together. */
  readonly oneByOne: boolean;
  /** In a replay it adds its children and does nothing else. */
  readonly skips: boolean;
  readonly children: readonly Child[];
}

type Write = 'sum' | 'list' | 'own' | 'collection';

/** A task that another one adds. */
export interface Child extends Work {
  readonly how: 'closure' | 'typed';
  readonly joined: Mode | 'no';
  /** Depends on the child before it, unless that is a race. */
  readonly after: Mode | 'no';
}

interface Dependent {
  readonly needs: readonly { readonly on: number; readonly mode: Mode }[];
}

/** A task, or a few that belong together, as the workflow defines them. */
export type Unit = Dependent &
  (
    | {
        readonly kind: 'work';
        readonly work: Work;
        readonly hears: readonly number[];
        readonly handler: readonly Child[];
        readonly compensates: boolean;
        /** It is cleanup; what it needs may fail. */
        readonly cleans: boolean;
      }
    | {
        readonly kind: 'each';
        readonly items: readonly Work[];
        readonly keyed: boolean;
        readonly retry: boolean;
      }
    /** A loop: the work of each turn there may be, and how many it is done after. */
    | {
        readonly kind: 'loop';
        readonly turns: readonly Work[];
        readonly enough: number;
        readonly keeps: boolean;
      }
    | { readonly kind: 'fallback'; readonly bad: number; readonly retry: boolean }
    | { readonly kind: 'hedged'; readonly takes: number }
    | { readonly kind: 'cached'; readonly key: number }
    | {
        readonly kind: 'race' | 'quorum';
        readonly members: readonly {
          readonly takes: number;
          readonly fails: boolean;
          readonly adds: boolean;
        }[];
      }
    | { readonly kind: 'joins'; readonly members: readonly number[]; readonly how: 'race' | 'quorum' }
    | { readonly kind: 'talk'; readonly requests: number }
    /** A workflow as a task, and perhaps one more within it. */
    | { readonly kind: 'nested'; readonly concurrency: number; readonly units: readonly Unit[] }
  );

/** A workflow as data, so that it can be shown and made smaller. */
export interface Program {
  readonly concurrency: number;
  readonly people: 'exit' | 'wait';
  readonly durability: 'sync' | 'group';
  readonly latency: number;
  /** Records that stay when the log is made shorter while it is written; undefined: it is not. */
  readonly keep: number | undefined;
  readonly units: readonly Unit[];
  /** Tasks that come from outside. */
  readonly outside: readonly Child[];
}

export interface State {
  sum: number;
  list: string[];
  own: Record<string, string>;
  all: Collection<string>;
}

/** What a program is run with, and what it tells. */
export interface World {
  /** What was changed since the run began: a task, or a type of tasks. */
  readonly edited: string | undefined;
  /** And it adds one task less. */
  readonly drops: boolean;
  /** What always failed does not any more. */
  readonly healed: boolean;
  /** Something outside of the run that is done after so many ms. */
  later(ms: number): Promise<void>;
  /** The body of a task is called. */
  called(id: string, replays: boolean): void;
  compensated(id: string, value: unknown): void;
  /** Who makes the attempts of bodies that need nothing but inputs and the ctx of a worker. Default: this process. */
  elsewhere?(agent: string, body: Body): Executor<never, unknown>;
}

/** What a task does. */
export type Body = (inputs: never, ctx: never) => unknown;

/** Which parts are generated: for those who look for a fault in one of them. */
const wanted = new Set((process.env.FEATURES ?? '').split(',').filter((one) => one !== ''));
const has = (feature: string): boolean => wanted.size === 0 || wanted.has(feature);
const some = <T>(feature: string, arbitrary: fc.Arbitrary<T>, none: T): fc.Arbitrary<T> =>
  has(feature) ? arbitrary : fc.constant(none);
const seldom = (feature: string, weight = 4): fc.Arbitrary<boolean> =>
  has(feature)
    ? fc.oneof({ weight, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) })
    : fc.constant(false);

const mode = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom<Mode>('value', 'optional', 'settled') },
  { weight: 1, arbitrary: some<Mode>('rules', fc.constant('failed'), 'value') },
);
const decides = fc.oneof(
  { weight: 8, arbitrary: fc.constant('nothing' as const) },
  { weight: 3, arbitrary: some('rules', fc.constantFrom('yes', 'no', 'skips'), 'nothing') },
);
/** Units there are that tasks may take. */
export const units = 2;

const takes = fc.integer({ min: 0, max: 9 });
const fails = fc.oneof(
  { weight: 6, arbitrary: fc.constant(0 as const) },
  { weight: 2, arbitrary: some('retry', fc.integer({ min: 1, max: 2 }), 0) },
  { weight: 1, arbitrary: some<number | 'always'>('fails', fc.constant('always' as const), 0) },
);
const writes = some<readonly Write[]>(
  'state',
  fc.uniqueArray(fc.constantFrom<Write>('sum', 'list', 'own', 'collection'), { maxLength: 2 }),
  [],
);

function works(depth: number): fc.Arbitrary<Work> {
  return fc.record({
    takes,
    waits: fc.oneof(
      { weight: 4, arbitrary: fc.constant('working' as const) },
      { weight: 1, arbitrary: some('waits', fc.constantFrom('aside', 'outside'), 'working') },
    ),
    uses: fc.oneof(
      { weight: 4, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: some('resources', fc.integer({ min: 1, max: units }), 0) },
    ),
    fails,
    writes,
    serializable: seldom('serializable'),
    decides,
    asks: seldom('people', 6),
    says: some('messages', fc.integer({ min: 0, max: 2 }), 0),
    oneByOne: fc.boolean(),
    skips: fc.boolean(),
    children:
      depth === 0 || !has('spawn')
        ? fc.constant([])
        : fc.oneof(
            { weight: depth === 3 ? 1 : 2, arbitrary: fc.constant([] as Child[]) },
            { weight: 1, arbitrary: fc.array(children(depth - 1), { minLength: 1, maxLength: 3 }) },
          ),
  });
}

function children(depth: number): fc.Arbitrary<Child> {
  return fc
    .tuple(
      works(depth),
      fc.record({
        how: some<'closure' | 'typed'>('typed', fc.constantFrom('closure', 'typed'), 'closure'),
        joined: fc.oneof(fc.constant('no' as const), mode),
        after: fc.oneof({ weight: 2, arbitrary: fc.constant('no' as const) }, { weight: 1, arbitrary: mode }),
      }),
    )
    .map(([work, more]) => ({ ...work, ...more }));
}

const needs = fc.array(fc.record({ on: fc.nat(9), mode }), { maxLength: 2 });

const unitsOf = (depth: number): fc.Arbitrary<Unit> =>
  fc
    .tuple(
      needs,
      fc.oneof(
        {
          weight: 8,
          arbitrary: fc.record({
            kind: fc.constant('work' as const),
            work: works(3),
            hears: some('messages', fc.array(fc.nat(9), { maxLength: 2 }), []),
            handler: some('handlers', fc.array(children(1), { maxLength: 1 }), []),
            compensates: seldom('compensate', 1),
            cleans: seldom('cleanup'),
          }),
        },
        ...(has('each')
          ? [
              {
                weight: 2,
                arbitrary: fc.record({
                  kind: fc.constant('each' as const),
                  items: fc.array(works(1), { maxLength: 3 }),
                  keyed: fc.boolean(),
                  retry: fc.boolean(),
                }),
              },
            ]
          : []),
        ...(has('loop')
          ? [
              {
                weight: 2,
                arbitrary: fc.record({
                  kind: fc.constant('loop' as const),
                  turns: fc.array(works(1), { minLength: 1, maxLength: 3 }),
                  enough: fc.integer({ min: 1, max: 4 }),
                  keeps: fc.boolean(),
                }),
              },
            ]
          : []),
        ...(has('fallback')
          ? [
              {
                weight: 1,
                arbitrary: fc.record({
                  kind: fc.constant('fallback' as const),
                  bad: fc.integer({ min: 0, max: 2 }),
                  retry: fc.boolean(),
                }),
              },
            ]
          : []),
        ...(has('hedge')
          ? [
              {
                weight: 1,
                arbitrary: fc.record({ kind: fc.constant('hedged' as const), takes }),
              },
            ]
          : []),
        ...(has('cache')
          ? [
              {
                weight: 1,
                arbitrary: fc.record({ kind: fc.constant('cached' as const), key: fc.nat(1) }),
              },
            ]
          : []),
        ...(has('race')
          ? [
              {
                weight: 1,
                arbitrary: fc.record({
                  kind: fc.constantFrom('race' as const, 'quorum' as const),
                  members: fc.array(
                    fc.record({ takes, fails: seldom('fails', 3), adds: seldom('spawn', 1) }),
                    {
                      minLength: 2,
                      maxLength: 3,
                    },
                  ),
                }),
              },
              {
                weight: 1,
                arbitrary: fc.record({
                  kind: fc.constant('joins' as const),
                  members: fc.array(takes, { minLength: 2, maxLength: 3 }),
                  how: fc.constantFrom('race' as const, 'quorum' as const),
                }),
              },
            ]
          : []),
        ...(has('talk')
          ? [
              {
                weight: 1,
                arbitrary: fc.record({
                  kind: fc.constant('talk' as const),
                  requests: fc.integer({ min: 1, max: 2 }),
                }),
              },
            ]
          : []),
        ...(has('nested') && depth > 0
          ? [
              {
                weight: 2,
                arbitrary: fc.record({
                  kind: fc.constant('nested' as const),
                  concurrency: fc.integer({ min: 1, max: 3 }),
                  units: fc.array(unitsOf(depth - 1), { minLength: 1, maxLength: 3 }),
                }),
              },
            ]
          : []),
      ),
    )
    .map(([needs, one]) => ({ needs, ...one }));
const unit = unitsOf(2);

export const programs: fc.Arbitrary<Program> = fc.record({
  concurrency: fc.integer({ min: 1, max: 4 }),
  people: fc.constantFrom('wait' as const, 'exit' as const),
  durability: fc.constantFrom('sync' as const, 'group' as const),
  latency: fc.constantFrom(0, 0, 2),
  keep: fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined, freq: 2 }),
  units: fc.array(unit, { minLength: 1, maxLength: 5 }),
  outside: some('outside', fc.array(children(1), { maxLength: 1 }), []),
});

/** What a value is made of, as a short text. */
function textOf(...parts: readonly unknown[]): string {
  return fnv1a(JSON.stringify(parts)).toString(36);
}

export const answerTo = (questionId: string): string => `answer to ${questionId}`;

const retried = { count: 3, backoff: () => 3 } as const;

/** Makes the workflow of a program, and what comes from outside. */
export function define(
  program: Program,
  world: World,
): { readonly flow: Workflow<State>; outside(run: Adds): void } {
  return new Definition(program, world).define();
}

/** Who takes tasks from outside. */
export interface Adds {
  task(id: string, options: never): unknown;
}

interface Item {
  readonly work: Work;
  readonly i: number;
}

type Context = TaskContext<State>;
type Flow = Workflow<State, undefined, never, never>;

class Definition {
  readonly #program: Program;
  readonly #world: World;
  readonly #words: Channel<string> = channel<string>('words');
  readonly #flow: Flow;
  /** Ids of its tasks begin with it. */
  readonly #names: string;
  readonly #type: TaskType<{ readonly id: string; readonly child: Child }, unknown> | undefined;

  constructor(program: Program, world: World, names = 't') {
    this.#names = names;
    this.#program = program;
    this.#world = world;
    this.#flow = workflow({
      name: 'random',
      concurrency: program.concurrency,
      resources: { unit: units },
      state: { sum: 0, list: [], own: {}, all: collection<string>() } as State,
    });
    this.#type = this.#flow.taskType('typed', {
      ...this.#version('typed'),
      retry: retried,
      run: (data: { readonly id: string; readonly child: Child }, ctx: Context, inputs) =>
        this.#work(data.child, 'typed', ctx, inputs),
    });
  }

  define(): { readonly flow: Workflow<State>; outside(run: Adds): void } {
    const tasks: Task[] = [];
    for (const [i, one] of this.#program.units.entries())
      tasks.push(this.#unit(`${this.#names}${i}`, one, tasks));
    return {
      flow: this.#flow as unknown as Workflow<State>,
      outside: (run) => {
        for (const [i, child] of this.#program.outside.entries())
          this.#add(
            (...given: never[]) => run.task(...(given as [never, never])) as Task,
            `o${i}`,
            child,
            {},
          );
      },
    };
  }

  /** An edited task has another version. */
  #version(id: string): { readonly version?: string } {
    return this.#world.edited === id ? { version: 'edited' } : {};
  }

  /** What a task does, where the world has it done; `what`: all that the body is made of, beside its id. */
  #does(id: string, what: unknown, body: (inputs: unknown, ctx: Context) => unknown, isPlain = true): object {
    if (this.#world.elsewhere === undefined || !isPlain) return { run: body };
    return { executor: this.#world.elsewhere(`${id} ${JSON.stringify(what)}`, body) };
  }

  #unit(id: string, one: Unit, tasks: readonly Task[]): Task {
    const dependencies = this.#dependencies(one, tasks);
    const more = { dependencies, ...this.#version(id) };
    switch (one.kind) {
      case 'work': {
        const { work, hears, handler, compensates, cleans } = one;
        const heard = tasks.length === 0 ? [] : hears.map((n) => (tasks[n % tasks.length] as Task).id);
        const task = this.#flow.task(id, {
          ...more,
          ...this.#settings(work),
          // Who waits for people while time flies must not run out of it.
          ...(cleans && { always: true, timeout: { total: Number.POSITIVE_INFINITY } }),
          ...(compensates && {
            compensate: (value: unknown) => this.#world.compensated(id, value),
          }),
          ...this.#does(
            id,
            work,
            (inputs, ctx) => this.#work(work, id, ctx, inputs, [...new Set(heard)]),
            isPlain(work) && heard.length === 0,
          ),
        } as never);
        if (handler.length > 0)
          this.#flow.onTaskComplete(task, (_, add) => {
            let before: Task | undefined;
            for (const [j, child] of handler.entries())
              before = this.#add(add as never, `${id}.h${j}`, child, this.#after(child, before));
          });
        return task;
      }
      case 'each':
        return this.#flow.each(id, {
          ...more,
          from: one.items.map((work, i) => ({ work, i })),
          keep: true,
          ...(one.keyed && { key: ({ i }: Item) => `k${i}` }),
          ...(one.retry && { retry: retried }),
          run: ({ work }: Item, ctx: Context) => this.#work(one.retry ? work : steady(work), id, ctx, {}),
        });
      case 'loop':
        return this.#flow.loop(id, {
          ...more,
          retry: retried,
          from: (inputs: unknown) => ({ turn: 0, text: textOf(seen(inputs)) }),
          until: ({ turn }) => turn === one.enough,
          max: one.turns.length,
          atMax: one.keeps ? 'keep' : 'fail',
          run: async ({ turn, text }, ctx) => {
            const work = one.turns[turn % one.turns.length] as Work;
            return { turn: turn + 1, text: await this.#work(work, id, ctx as Context, { text }) };
          },
        });
      case 'fallback': {
        const candidate = (n: number, bad: boolean) => ({
          name: `c${n}`,
          run: async (_: unknown, ctx: Context) => {
            this.#call(ctx);
            await ctx.sleep(2);
            if (bad) throw failure(ctx.taskId);
            return `candidate ${n}`;
          },
        });
        const good = one.bad < 2;
        return this.#flow.task(id, {
          ...more,
          ...(one.retry && { retry: { count: 1, backoff: () => 2 } }),
          run: fallback([
            candidate(0, one.bad > 0),
            candidate(1, one.bad > 1),
            ...(good ? [] : [candidate(2, true)]),
          ]),
        });
      }
      case 'hedged':
        return this.#flow.task(id, {
          ...more,
          hedge: { after: 3 },
          ...this.#does(id, one, async (inputs, ctx) => {
            this.#call(ctx);
            await ctx.sleep(one.takes);
            return textOf(id, this.#world.edited === id, seen(inputs));
          }),
        } as never);
      case 'cached':
        return this.#flow.task(id, {
          ...more,
          type: 'cached',
          cache: { key: () => one.key },
          ...this.#does(id, one, async (_, ctx) => {
            this.#call(ctx);
            await ctx.sleep(3);
            return `cached ${one.key}`;
          }),
        } as never);
      case 'race':
      case 'quorum': {
        const members = one.members.map((member, i) =>
          this.#flow.task(`${id}~${i}`, {
            ...this.#does(
              `${id}~${i}`,
              member,
              async (_, ctx) => {
                this.#call(ctx);
                await ctx.sleep(member.takes);
                if (member.adds) await ctx.join(this.#child(ctx, `${ctx.taskId}.0`, member.takes));
                if (member.fails) throw failure(ctx.taskId);
                return `${id} member`;
              },
              !member.adds,
            ),
          } as never),
        ) as unknown as readonly Task[];
        return this.#flow.task(id, {
          ...this.#version(id),
          dependencies: [...dependencies, one.kind === 'race' ? race(members) : quorum(2, members)],
          run: (inputs: unknown, ctx: Context) => {
            this.#call(ctx);
            return textOf(id, this.#world.edited === id, seen(inputs));
          },
        });
      }
      case 'joins':
        return this.#flow.task(id, {
          ...more,
          run: async (inputs: unknown, ctx: Context) => {
            this.#call(ctx);
            const members = one.members.map((ms, i) =>
              ctx.spawn(`${id}~${i}`, {
                ...this.#does(`${id}~${i}`, ms, async (_, own) => {
                  this.#call(own);
                  await own.sleep(ms);
                  return `${id} member`;
                }),
              } as never),
            ) as unknown as readonly Task[];
            const won = await ctx.join<unknown>(one.how === 'race' ? race(members) : quorum(2, members));
            return textOf(id, this.#world.edited === id, seen(inputs), won);
          },
        });
      case 'nested': {
        const { concurrency, units } = one;
        const program = { ...this.#program, concurrency, units, outside: [] };
        const inner = new Definition(program, this.#world, 'in.').define().flow;
        return this.#flow.task(id, { dependencies, workflow: inner as unknown as Flow });
      }
      case 'talk': {
        // Neither waits for anything else, so they cannot wait for each other in a circle.
        const server = this.#flow.task(`${id}~server`, {
          run: async (_: unknown, ctx: Context) => {
            this.#call(ctx);
            for await (const request of ctx.requests$<string>({ from: `${id}~client` }))
              await request.reply(`${request.value}!`);
            return 'served';
          },
        });
        const client = this.#flow.task(`${id}~client`, {
          run: async (_: unknown, ctx: Context) => {
            this.#call(ctx);
            const replies: unknown[] = [];
            for (let n = 0; n < one.requests; n++) replies.push(await ctx.ask(server, `request ${n}`));
            return replies;
          },
        });
        return this.#flow.task(id, {
          ...this.#version(id),
          dependencies: [...dependencies, client, server],
          run: (inputs: unknown, ctx: Context) => {
            this.#call(ctx);
            return textOf(id, this.#world.edited === id, seen(inputs));
          },
        });
      }
    }
  }

  #child(ctx: Context, id: string, ms: number): Task {
    return ctx.spawn(id, {
      run: (_: unknown, own: Context) => {
        this.#call(own);
        return own.sleep(ms);
      },
    });
  }

  #dependencies({ needs }: Dependent, tasks: readonly Task[]): AnyDependency[] {
    if (tasks.length === 0) return [];
    const list = new Map(needs.map(({ on, mode }) => [on % tasks.length, mode]));
    return [...list].map(([at, mode]) => dependency(tasks[at] as Task, mode));
  }

  #settings({ serializable, decides, uses }: Work): object {
    const when = async (_: unknown, ctx: Context): Promise<boolean> => {
      await ctx.sleep(1);
      // Asked once is as good as called once.
      if (decides === 'no') this.#call(ctx);
      return decides === 'yes';
    };
    return {
      retry: retried,
      ...(uses > 0 && { resources: { unit: uses } }),
      ...(serializable && { isolation: 'serializable' as const }),
      ...((decides === 'yes' || decides === 'no') && { when }),
    };
  }

  #after({ after }: Child, before: Task | undefined): { readonly before?: AnyDependency } {
    return before === undefined || after === 'no' ? {} : { before: dependency(before, after) };
  }

  /** Adds a task by its closure or by its data. */
  #add(
    add: (...given: never[]) => Task,
    id: string,
    child: Child,
    dependencies: { readonly before?: AnyDependency },
  ): Task {
    if (child.how === 'typed' && this.#type !== undefined)
      return add(this.#type as never, id as never, { id, child } as never, { dependencies } as never);
    const definition = {
      dependencies,
      ...this.#version(id),
      ...this.#settings(child),
      ...this.#does(id, child, (inputs, ctx) => this.#work(child, id, ctx, inputs), isPlain(child)),
    };
    return add(id as never, definition as never);
  }

  #call(ctx: Context): boolean {
    const replays = ctx.replaying !== undefined;
    this.#world.called(ctx.taskId, replays);
    return replays;
  }

  async #work(
    work: Work,
    source: string,
    ctx: Context,
    inputs: unknown,
    hears: readonly string[] = [],
  ): Promise<string> {
    const id = ctx.taskId;
    const replays = this.#call(ctx);
    const { edited, drops, healed } = this.#world;
    const children = drops && edited === id ? work.children.slice(0, -1) : work.children;
    if (replays && work.skips) {
      this.#children(children, ctx);
      return 'replayed';
    }
    if (work.waits === 'outside') await ctx.outside(() => this.#world.later(work.takes));
    else await ctx.sleep(work.takes, { slot: work.waits === 'aside' ? 'free' : 'hold' });
    if (work.fails === 'always' ? !healed : ctx.attempt <= work.fails) throw failure(id);
    if (work.decides === 'skips') ctx.skip('nothing to do');
    if (work.serializable) ctx.read((state) => state.sum);
    for (let n = 0; n < work.says; n++) await ctx.send(this.#words, `${id} ${n}`);
    const heard: string[] = [];
    for (const from of hears)
      for await (const { value } of ctx.receive$(this.#words, { from })) heard.push(value);
    // Some are for programs, which are told anew where nobody has answered.
    const asked = fnv1a(id) % 3 === 0 ? callback : human;
    const answer = work.asks ? await ctx.ask(asked(typed<string>(), { key: 'q', prompt: id })) : '';
    for (const write of work.writes) this.#write(write, ctx);
    const added = this.#children(children, ctx);
    const joined = added.filter(({ child }) => child.joined !== 'no');
    const one = ({ task, child }: { readonly task: Task; readonly child: Child }): AnyDependency =>
      dependency(task, child.joined as Mode);
    const outcomes: unknown[] = [];
    if (work.oneByOne) for (const each of joined) outcomes.push(seen(await ctx.join([one(each)])));
    else if (joined.length > 0) outcomes.push(seen(await ctx.join(joined.map(one))));
    return `${id}:${textOf(edited === source, answer, heard, seen(inputs), outcomes)}`;
  }

  #children(children: readonly Child[], ctx: Context): { readonly task: Task; readonly child: Child }[] {
    const added: { readonly task: Task; readonly child: Child }[] = [];
    for (const [i, child] of children.entries()) {
      const before = added.at(-1)?.task;
      const task = this.#add(
        ctx.spawn.bind(ctx) as never,
        `${ctx.taskId}.${i}`,
        child,
        this.#after(child, before),
      );
      added.push({ task, child });
    }
    return added;
  }

  #write(write: Write, ctx: Context): void {
    const id = ctx.taskId;
    ctx.update((state) => {
      if (write === 'sum') state.sum += (fnv1a(id) % 9) + 1;
      else if (write === 'list') state.list.push(id);
      else if (write === 'own') state.own[id] = `own of ${id}`;
      else state.all.set(id, `kept by ${id}`);
    });
  }
}

function dependency(task: Task, mode: Mode): AnyDependency {
  if (mode === 'optional') return optional(task);
  if (mode === 'failed') return failed(task) as Dependency;
  return mode === 'settled' ? settled(task) : task;
}

/** Does its body need nothing but its inputs and the ctx of a worker? */
function isPlain({ waits, writes, serializable, decides, asks, says, children }: Work): boolean {
  const isAlone = writes.length === 0 && !serializable && says === 0 && children.length === 0;
  return isAlone && !asks && waits !== 'outside' && decides !== 'skips';
}

/** Without a retry, an item that fails now and then would fail for good, or not, with the process. */
function steady(work: Work): Work {
  return work.fails === 'always' ? work : { ...work, fails: 0 };
}

function failure(id: string): Error {
  return Object.assign(new Error(`${id} fails`), { code: 'MEANT' });
}

/** Of two reasons to be skipped, who asks early sees the first. */
const ofOrder: ReadonlySet<string> = new Set(['error', 'failures', 'decided']);

/** Inputs, without what tells in which order things happened or how an error reads. */
function seen(inputs: unknown): unknown {
  if (Array.isArray(inputs)) return inputs.map(seen);
  if (typeof inputs !== 'object' || inputs === null) return inputs ?? 'none';
  const entries = Object.entries(inputs).filter(([key]) => !ofOrder.has(key));
  return entries
    .map(([key, value]) => [key, seen(value)])
    .sort(([a], [b]) => String(a).localeCompare(String(b)));
}
