import { of } from 'rxjs';
import {
  AgentTask,
  type CheckpointStore,
  channel,
  human,
  latest,
  memory,
  optional,
  quorum,
  race,
  type Task,
  typed,
  virtual,
  WorkflowOrchestrator,
  workflow,
} from '../dist/index.js';
import { graphOf } from './graphs.js';

/** Prepares one run over `n` units and returns what is measured. */
export type Shape = (n: number) => (() => unknown) | Promise<() => unknown>;

type Settings = Omit<Parameters<typeof workflow>[0], 'name'>;
type Flow = ReturnType<typeof workflow>;

const body = async (): Promise<void> => undefined;
const noBackoff = { count: 1, backoff: () => 0 };

const flowOf = (settings: Settings = {}): Flow =>
  workflow({ name: 'growth', concurrency: 100, maxTasks: 10_000_000, ...settings });

/** Defines with `define`, runs to the end. */
const run = (
  settings: Settings,
  define: (flow: Flow) => unknown,
  watch: (run: ReturnType<Flow['run']>) => void = () => undefined,
): Promise<unknown> => {
  const flow = flowOf(settings);
  define(flow);
  const one = flow.run();
  watch(one);
  return one.result();
};

/** `n` tasks with the options that `optionsOf` gives for each. */
const many = (flow: Flow, n: number, optionsOf: (i: number) => object = () => ({})): Task<unknown>[] =>
  Array.from({ length: n }, (_, i) => flow.task(`t${i}`, { run: body, ...optionsOf(i) } as never));

const fan =
  (settings: Settings, optionsOf: (i: number) => object = () => ({})): Shape =>
  (n) =>
  () =>
    run(settings, (flow) => many(flow, n, optionsOf));

const graph =
  (shape: string): Shape =>
  (n) => {
    const before = graphOf(shape, n);
    return () =>
      run({}, (flow) => {
        const tasks: Task<unknown>[] = [];
        for (const [i, edges] of before.entries())
          tasks.push(flow.task(`t${i}`, { dependencies: edges.map((j) => tasks[j] as Task), run: body }));
      });
  };

/** One group for each of `n` tasks. */
const groups =
  (n: number, groupOf: () => object): Shape =>
  () => {
    const names = Array.from({ length: n }, (_, i) => `g${i}`);
    return fan({ groups: Object.fromEntries(names.map((name) => [name, groupOf()])) }, (i) => ({
      group: names[i],
    }))(n);
  };

/** Fails: `n` tasks under one that needs them all; the report is read. */
const wideFailure = (n: number, errorOf: (i: number) => string): Promise<unknown> =>
  run({}, (flow) => {
    const failing = many(flow, n, (i) => ({ run: () => Promise.reject(new Error(errorOf(i))) }));
    flow.task('sum', { dependencies: failing, run: body });
    flow.task('more', { dependencies: failing, run: body });
  }).then((result) => String((result as { report: unknown }).report));

/** A store that answers in a later turn. */
function late(): CheckpointStore {
  const store = memory();
  return new Proxy(store, {
    get: (target, name) => {
      const value = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return async (...given: unknown[]) => value.apply(target, given);
    },
  }) as unknown as CheckpointStore;
}

/** Everything that grows with the number of its tasks, subscribers, groups or calls. */
export const shapes: Readonly<Record<string, Shape>> = {
  fan: graph('fan'),
  layered: graph('layered'),
  chain: graph('chain'),
  'fan-out: one, then n': (n) => () =>
    run({}, (flow) => {
      const first = flow.task('first', { run: body });
      many(flow, n, () => ({ dependencies: [first] }));
    }),
  'all at once': (n) => fan({ concurrency: n })(n),
  'all at once, held': (n) => {
    let open: () => void = () => undefined;
    const gate = new Promise<void>((done) => {
      open = done;
    });
    return () =>
      run({ concurrency: n + 1 }, (flow) => {
        many(flow, n, () => ({ run: () => gate }));
        flow.task('last', { run: () => void setImmediate(open) });
      });
  },
  'definitions alone': (n) => () => {
    const flow = flowOf();
    many(flow, n);
    return flow.run();
  },
  'spawn n': (n) => () =>
    run({}, (flow) =>
      flow.task('parent', {
        run: (_, ctx) => {
          for (let i = 0; i < n; i++) ctx.spawn(`c${i}`, { run: body });
        },
      }),
    ),
  'spawn n and join them': (n) => () =>
    run({}, (flow) =>
      flow.task('parent', {
        run: (_, ctx) => ctx.join(Array.from({ length: n }, (_each, i) => ctx.spawn(`c${i}`, { run: body }))),
      }),
    ),
  'spawn n, join each': (n) => () =>
    run({}, (flow) =>
      flow.task('parent', {
        run: async (_, ctx) => {
          for (let i = 0; i < n; i++) await ctx.join(ctx.spawn(`c${i}`, { run: body }));
        },
      }),
    ),
  'handler adds n': (n) => () =>
    run({}, (flow) => {
      const parent = flow.task('parent', { run: body });
      flow.onTaskComplete(parent, (_, add) => {
        for (let i = 0; i < n; i++) add(`c${i}`, { run: body });
      });
    }),
  'run.task n': (n) => () => {
    const flow = flowOf();
    const one = flow.run({ keepOpen: true });
    const result = one.result();
    for (let i = 0; i < n; i++) one.task(`t${i}`, { run: body });
    one.close();
    return result;
  },
  'each n': (n) => () =>
    run({}, (flow) =>
      flow.each('items', {
        from: function* () {
          for (let i = 0; i < n; i++) yield i;
        },
        run: body,
      }),
    ),
  'n fail under two joins, report': (n) => () => wideFailure(n, () => 'down'),
  'n fail each its way, report': (n) => () => wideFailure(n, (i) => `down ${i}`),
  'n fail in fail-fast': (n) => () =>
    run({ failurePolicy: 'fail-fast', concurrency: n }, (flow) =>
      many(flow, n, () => ({ run: () => Promise.reject(new Error('down')) })),
    ),
  'chain skipped, report': (n) => () =>
    run({}, (flow) => {
      let before: Task<unknown> = flow.task('bad', { run: () => Promise.reject(new Error('down')) });
      for (let i = 0; i < n; i++) before = flow.task(`t${i}`, { dependencies: [before], run: body });
    }).then((result) => String((result as { report: unknown }).report)),
  'fan-out skipped, report': (n) => () =>
    run({}, (flow) => {
      const bad = flow.task('bad', { run: () => Promise.reject(new Error('down')) });
      many(flow, n, () => ({ dependencies: [bad] }));
    }).then((result) => String((result as { report: unknown }).report)),
  'optional, n of n fail': (n) => () =>
    run({}, (flow) => {
      const failing = many(flow, n, () => ({ run: () => Promise.reject(new Error('down')) }));
      flow.task('sum', { dependencies: failing.map((one) => optional(one)), run: body });
    }),
  'race of n': (n) => () =>
    run({}, (flow) => {
      flow.task('first', { dependencies: { first: race(many(flow, n)) }, run: body });
    }),
  'quorum of n': (n) => () =>
    run({}, (flow) => {
      flow.task('half', { dependencies: { half: quorum(n >> 1, many(flow, n)) }, run: body });
    }),
  'latest of n': (n) => () =>
    run({}, (flow) => {
      flow.task('sum', {
        dependencies: many(flow, n).map((one) => latest(one)) as [],
        run: (inputs$: unknown) => inputs$ as never,
      });
    }),
  'latest of one with n values': (n) => () =>
    run({}, (flow) => {
      const source = flow.task('source', { run: () => of(...Array.from({ length: n }, (_, i) => i)) });
      flow.task('sum', { dependencies: { source: latest(source) }, run: (inputs$) => inputs$ });
    }),
  'priorities, all different': fan({}, (i) => ({ priority: (i * 7_919) % 1_000_003 })),
  'priorities, least first': (n) => () =>
    run({ concurrency: 1 }, (flow) => {
      let before: Task<unknown>[] = [];
      // Each one is ready as the least there is, and a more important one with it.
      for (let i = 0; i < n / 2; i++) {
        flow.task(`high${i}`, { priority: n + i, dependencies: before, run: body });
        before = [flow.task(`low${i}`, { priority: n - i, dependencies: before, run: body })];
      }
    }),
  'first come, first served': fan({ policy: 'fifo' }),
  'one group': fan({ groups: { g: { concurrency: 10 } } }, () => ({ group: 'g' })),
  'n groups': (n) => groups(n, () => ({ concurrency: 10 }))(n),
  'n groups, a limiter each': (n) => groups(n, () => ({ limiter: { maxConcurrent: 1 } }))(n),
  'n groups, one limiter': (n) => {
    const limiter = virtual({ maxConcurrent: 10 });
    return groups(n, () => ({ limiter }))(n);
  },
  '100 groups, one limiter': (n) => {
    const limiter = virtual({ maxConcurrent: 10 });
    const names = Array.from({ length: 100 }, (_, i) => `g${i}`);
    return fan({ groups: Object.fromEntries(names.map((name) => [name, { limiter }])) }, (i) => ({
      group: names[i % 100],
    }))(n);
  },
  'one limiter': fan({ limiter: { maxConcurrent: 10 } }),
  'one window': fan({ limiter: { requestsPerMinute: 10_000_000, tokensPerMinute: 1e12 } }, () => ({
    tokens: 10,
  })),
  'n groups with breaker and budget': (n) =>
    groups(n, () => ({ breaker: { failures: 5 }, budget: { tokens: 1_000 } }))(n),
  'one resource': fan({ resources: { gpu: 8 } }, () => ({ resources: { gpu: 2 } })),
  'one resource, distinct amounts': (n) =>
    fan({ resources: { gpu: n } }, (i) => ({ resources: { gpu: i + 1 } }))(n),
  'two resources, distinct amounts': (n) =>
    fan({ resources: { gpu: n, ram: n } }, (i) => ({ resources: { gpu: i + 1, ram: n - i } }))(n),
  'n resources': (n) =>
    fan({ resources: Object.fromEntries(Array.from({ length: n }, (_, i) => [`r${i}`, 1])) }, (i) => ({
      resources: { [`r${i}`]: 1 },
    }))(n),
  retries: (n) => {
    const seen = new Set<number>();
    return fan({ retry: noBackoff }, (i) => ({
      run: async () => {
        if (seen.has(i)) return;
        seen.add(i);
        throw new Error('again');
      },
    }))(n);
  },
  timeouts: fan({ timeout: 60_000 }),
  'signals and state': fan({ state: { done: 0 } }, () => ({
    run: async (
      _: unknown,
      ctx: { signal: AbortSignal; update(recipe: (state: { done: number }) => void): void },
    ) => {
      if (ctx.signal.aborted) return;
      ctx.update((state) => {
        state.done += 1;
      });
    },
  })),
  'cancel n': (n) => () =>
    run(
      { concurrency: 10 },
      (flow) => many(flow, n, () => ({ run: () => new Promise(() => undefined) })),
      (one) => void setImmediate(() => one.cancel()),
    ),
  'cancel n that run': (n) => () =>
    run(
      { concurrency: n },
      (flow) => many(flow, n, () => ({ run: () => new Promise(() => undefined) })),
      (one) => void setImmediate(() => one.cancel()),
    ),
  'cancelTask n': (n) => () =>
    run(
      { concurrency: 10 },
      (flow) => many(flow, n, () => ({ run: () => new Promise(() => undefined) })),
      (one) =>
        void setImmediate(() => {
          for (let i = 0; i < n; i++) one.cancelTask(`t${i}`);
        }),
    ),
  events: (n) => () =>
    run(
      {},
      (flow) => many(flow, n),
      (one) => void one.events$.subscribe(),
    ),
  snapshots: (n) => () =>
    run(
      { groups: { g: { concurrency: 10 } } },
      (flow) => many(flow, n, () => ({ group: 'g' })),
      (one) => {
        one.snapshot$.subscribe();
      },
    ),
  'results, each subscribed': (n) => () => {
    let tasks: Task<unknown>[] = [];
    return run(
      {},
      (flow) => {
        tasks = many(flow, n);
      },
      (one) => {
        for (const task of tasks) one.result$(task).subscribe();
      },
    );
  },
  'eta at each end': (n) => () =>
    run(
      {},
      (flow) => many(flow, n, () => ({ estimate: 10 })),
      (one) => void one.events$.subscribe((event) => event.reason === 'succeeded' && one.eta()),
    ),
  'eta after each added task': (n) => () => {
    const one = flowOf().run({ keepOpen: true });
    const result = one.result();
    for (let i = 0; i < n; i++) {
      one.task(`t${i}`, { estimate: 10, run: body });
      one.eta();
    }
    one.close();
    return result;
  },
  'explain each behind a slot': (n) => () =>
    run(
      { concurrency: 1 },
      (flow) => many(flow, n),
      (one) =>
        void setImmediate(() => {
          for (let i = 0; i < n; i++) one.explain(`t${i}`);
        }),
    ),
  'explain each behind a limiter': (n) => () =>
    run(
      { limiter: { maxConcurrent: 1 } },
      (flow) => {
        flow.task('first', { priority: 1, run: (_, ctx) => ctx.sleep(1) });
        many(flow, n);
      },
      (one) =>
        void setImmediate(() => {
          for (let i = 0; i < n; i++) one.explain(`t${i}`);
        }),
    ),
  'join waits, each its own': (n) => () =>
    run({}, (flow) =>
      many(flow, n >> 1, (i) => ({
        run: (_: unknown, ctx: { spawn(id: string, o: object): Task; join(t: Task): Promise<unknown> }) =>
          ctx.join(ctx.spawn(`c${i}`, { run: body })),
      })),
    ),
  'n share one lock': (n) => () =>
    run({}, (flow) =>
      many(flow, n, () => ({
        run: (_: unknown, ctx: { shared(name: string): { use(fn: () => void): unknown } }) =>
          ctx.shared('file').use(() => undefined),
      })),
    ),
  'n questions, answered': (n) => () =>
    run(
      {},
      (flow) =>
        many(flow, n, () => ({
          run: (_: unknown, ctx: { ask(question: unknown): unknown }) =>
            ctx.ask(human(typed<boolean>(), 'Go on?')),
        })),
      (one) =>
        void one.events$.subscribe((event) => {
          if (event.type === 'question' && event.reason === 'asked') void one.answer(event.questionId, true);
        }),
    ),
  'n messages, one reader': (n) => () =>
    run({}, (flow) => {
      const said = channel<number>('said');
      const sender = flow.task('sender', {
        run: async (_, ctx) => {
          for (let i = 0; i < n; i++) await ctx.send(said, i);
        },
      });
      flow.task('reader', {
        run: async (_, ctx) => {
          let count = 0;
          for await (const _message of ctx.receive$(said, { from: [sender] })) count += 1;
          return count;
        },
      });
    }),
  'n senders, one reader': (n) => () =>
    run({}, (flow) => {
      const said = channel<number>('said');
      const senders = many(flow, n, (i) => ({
        run: (_: unknown, ctx: { send(to: unknown, value: number): unknown }) => ctx.send(said, i),
      }));
      flow.task('reader', {
        run: async (_, ctx) => {
          let count = 0;
          for await (const _message of ctx.receive$(said, { from: senders })) count += 1;
          return count;
        },
      });
    }),
  'a log in memory': (n) => () => {
    const flow = flowOf();
    many(flow, n);
    return flow.run({ store: memory(), runId: 'r' }).result();
  },
  'a log that answers late': (n) => () => {
    const flow = flowOf();
    many(flow, n);
    return flow.run({ store: late(), runId: 'r' }).result();
  },
  resume: async (n) => {
    const store = memory();
    const define = (): Flow => {
      const flow = flowOf();
      many(flow, n);
      return flow;
    };
    await define().run({ store, runId: 'r' }).result();
    return () => define().run({ store, runId: 'r' }).result();
  },
  orchestrator: (n) => () => {
    const agents = { worker: body };
    const orchestrator = new WorkflowOrchestrator({ agents, maxConcurrentTasks: 100 });
    for (let i = 0; i < n; i++)
      orchestrator.addTask(new AgentTask({ id: `t${i}`, agentType: 'worker', data: i } as never));
    return orchestrator.executeWorkflow();
  },
};
