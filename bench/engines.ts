import { Annotation, StateGraph } from '@langchain/langgraph';
import { auto } from 'async';
import { Deferred, Effect } from 'effect';
import { promise as fastq } from 'fastq';
import { PGraph } from 'p-graph';
import pLimit from 'p-limit';
import PQueue from 'p-queue';
import { workflow } from '../dist/index.js';
import type { Graph } from './graphs.js';

/** The work of task `i`. */
export type Body = (i: number) => Promise<void>;

/** Builds and runs a graph with at most `limit` tasks at once. */
export type Engine = (
  graph: Graph,
  limit: number,
  body: Body,
  estimates?: readonly number[],
) => Promise<unknown>;

/** A task as users of a small runner write it. */
interface Given {
  readonly dependencies: readonly string[];
  readonly run: () => Promise<unknown>;
}

/** What the floor keeps of a task. */
interface Entry {
  readonly id: string;
  readonly run: () => Promise<unknown>;
  readonly next: Entry[];
  pending: number;
}

/**
 * The least a runner has to do that takes and gives what a user of a library takes and gives, written by hand: tasks by id,
 * unknown ids noticed, a limit, each result and error kept under its id. No priorities, events, retry, cancellation, state.
 */
function runAll(tasks: ReadonlyMap<string, Given>, limit: number): Promise<Map<string, unknown>> {
  const entries = new Map<string, Entry>();
  for (const [id, { dependencies, run }] of tasks)
    entries.set(id, { id, run, next: [], pending: dependencies.length });
  for (const [id, { dependencies }] of tasks)
    for (const name of dependencies) {
      const before = entries.get(name);
      if (before === undefined) throw new Error(`"${id}" depends on "${name}", which does not exist.`);
      before.next.push(entries.get(id) as Entry);
    }
  return new Promise((done) => {
    const results = new Map<string, unknown>();
    const queue = [...entries.values()].filter(({ pending }) => pending === 0);
    let head = 0;
    let active = 0;
    const end = (entry: Entry, result: unknown, succeeded: boolean): void => {
      active -= 1;
      results.set(entry.id, result);
      if (succeeded)
        for (const next of entry.next) {
          next.pending -= 1;
          if (next.pending === 0) queue.push(next);
        }
      pump();
    };
    const pump = (): void => {
      while (active < limit && head < queue.length) {
        const entry = queue[head++] as Entry;
        active += 1;
        entry.run().then(
          (value) => end(entry, { value }, true),
          (error) => end(entry, { error }, false),
        );
      }
      if (active === 0) done(results);
    };
    pump();
  });
}

/** The graph as somebody would write it down. */
function tasksOf(graph: Graph, body: Body): Map<string, Given> {
  const tasks = new Map<string, Given>();
  for (let i = 0; i < graph.length; i++)
    tasks.set(`t${i}`, { dependencies: (graph[i] ?? []).map((j) => `t${j}`), run: () => body(i) });
  return tasks;
}

const floor: Engine = async (graph, limit, body) => {
  const results = await runAll(tasksOf(graph, body), limit);
  if (results.size !== graph.length) throw new Error(`only ${results.size} ended`);
};

/** The least a DAG runner has to do: counters, a queue, a limit. Numbers instead of ids, and nothing is kept. */
const lean: Engine = (graph, limit, body) =>
  new Promise<void>((done) => {
    const after: number[][] = graph.map(() => []);
    const pending = new Int32Array(graph.length);
    graph.forEach((before, i) => {
      pending[i] = before.length;
      for (const j of before) after[j]?.push(i);
    });
    const queue: number[] = [];
    for (let i = 0; i < graph.length; i++) if (pending[i] === 0) queue.push(i);
    let head = 0;
    let active = 0;
    let left = graph.length;
    const pump = (): void => {
      while (active < limit && head < queue.length) {
        const i = queue[head++] as number;
        active += 1;
        body(i).then(() => {
          active -= 1;
          for (const next of after[i] ?? []) {
            pending[next] = (pending[next] ?? 0) - 1;
            if (pending[next] === 0) queue.push(next);
          }
          left -= 1;
          if (left === 0) done();
          else pump();
        });
      }
    };
    pump();
  });

function rxhive(everything: boolean): Engine {
  return async (graph, limit, body, estimates) => {
    const flow = workflow({
      name: 'bench',
      concurrency: limit,
      state: { done: 0 },
      ...(everything ? { retry: 2, timeout: 60_000 } : {}),
    });
    const handles: ReturnType<typeof flow.task>[] = [];
    for (let i = 0; i < graph.length; i++) {
      handles.push(
        flow.task(`t${i}`, {
          dependencies: (graph[i] ?? []).map((j) => handles[j] as (typeof handles)[number]),
          ...(estimates && { estimate: estimates[i] as number }),
          run: everything
            ? (_, ctx) => {
                if (ctx.signal.aborted) throw ctx.signal.reason;
                ctx.update((state) => {
                  state.done += 1;
                });
                return body(i);
              }
            : () => body(i),
        }),
      );
    }
    const run = flow.run();
    let events = 0;
    if (everything) {
      run.events$.subscribe(() => {
        events += 1;
      });
    }
    const result = await run.result();
    if (result.status !== 'succeeded') throw new Error(`ended ${result.status} after ${events} events`);
  };
}

/**
 * Engines that know only concurrency are wired by hand, to take and give what the floor does: each task awaits its
 * dependencies, then a slot.
 */
function wired(slot: (limit: number) => (work: () => Promise<unknown>) => Promise<unknown>): Engine {
  return async (graph, limit, body) => {
    const take = slot(limit);
    const ends = new Map<string, Promise<unknown>>();
    const results = new Map<string, unknown>();
    for (const [id, { dependencies, run }] of tasksOf(graph, body)) {
      const work = async (): Promise<void> => {
        results.set(id, { value: await run() });
      };
      const before = dependencies.map((name) => {
        const end = ends.get(name);
        if (end === undefined) throw new Error(`"${id}" depends on "${name}", which does not exist.`);
        return end;
      });
      ends.set(id, before.length === 0 ? take(work) : Promise.all(before).then(() => take(work)));
    }
    await Promise.all(ends.values());
  };
}

const pGraph: Engine = (graph, limit, body) => {
  const nodes = new Map(graph.map((_, i) => [`t${i}`, { run: () => body(i) }]));
  const edges = graph.flatMap((before, i) => before.map((j): [string, string] => [`t${j}`, `t${i}`]));
  return new PGraph(nodes, edges).run({ concurrency: limit });
};

const asyncAuto: Engine = (graph, limit, body) => {
  const tasks: Record<string, unknown> = {};
  graph.forEach((before, i) => {
    tasks[`t${i}`] =
      before.length === 0 ? async () => body(i) : [...before.map((j) => `t${j}`), async () => body(i)];
  });
  return auto(tasks as never, limit) as unknown as Promise<unknown>;
};

const effect: Engine = (graph, limit, body) =>
  Effect.runPromise(
    Effect.gen(function* () {
      const slots = yield* Effect.makeSemaphore(limit);
      const ends = yield* Effect.forEach(graph, () => Deferred.make<void>());
      const one = (before: readonly number[], i: number) =>
        Effect.gen(function* () {
          for (const j of before) yield* Deferred.await(ends[j] as Deferred.Deferred<void>);
          yield* slots.withPermits(1)(Effect.promise(() => body(i)));
          yield* Deferred.succeed(ends[i] as Deferred.Deferred<void>, undefined);
        });
      yield* Effect.forEach(graph, one, { concurrency: 'unbounded', discard: true });
    }),
  );

const langGraph: Engine = async (graph, limit, body) => {
  const State = Annotation.Root({ done: Annotation<number>({ reducer: (a, b) => a + b, default: () => 0 }) });
  const builder = new StateGraph(State) as unknown as {
    addNode(id: string, run: () => Promise<object>): void;
    addEdge(from: string | string[], to: string): void;
    compile(): { invoke(input: object, options: object): Promise<unknown> };
  };
  graph.forEach((before, i) => {
    builder.addNode(`t${i}`, async () => {
      await body(i);
      return { done: 1 };
    });
    if (before.length === 0) builder.addEdge('__start__', `t${i}`);
    else if (before.length === 1) builder.addEdge(`t${before[0]}`, `t${i}`);
    else
      builder.addEdge(
        before.map((j) => `t${j}`),
        `t${i}`,
      );
  });
  await builder.compile().invoke({}, { recursionLimit: graph.length + 10, maxConcurrency: limit });
};

/** All engines by name; the floors first, ours next. */
export const engines: Readonly<Record<string, Engine>> = {
  floor,
  lean,
  rxhive: rxhive(false),
  'rxhive, everything': rxhive(true),
  'p-limit': wired((limit) => {
    const run = pLimit(limit);
    return (work) => run(work);
  }),
  fastq: wired((limit) => {
    const queue = fastq((work: () => Promise<void>) => work(), limit);
    return (work) => queue.push(work);
  }),
  'p-queue': wired((limit) => {
    const queue = new PQueue({ concurrency: limit });
    return (work) => queue.add(work);
  }),
  'p-graph': pGraph,
  'async.auto': asyncAuto,
  Effect: effect,
  LangGraph: langGraph,
};
