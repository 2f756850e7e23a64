import { setTimeout as pause } from 'node:timers/promises';
import { workflow } from '../dist/index.js';
import { engines } from './engines.js';
import { criticalPath, type Graph, graphOf, uneven } from './graphs.js';

// One measurement in a process of its own: prints one JSON line.
const [kind = '', name = '', shape = '', count = '0'] = process.argv.slice(2);
const engine = engines[name];
const n = Number(count);

async function speed(): Promise<object> {
  if (engine === undefined) throw new Error(`no engine ${name}`);
  const body = async (): Promise<void> => undefined;
  const small = graphOf(shape, 300);
  for (let i = 0; i < (name === 'LangGraph' ? 1 : 30); i++) await engine(small, 100, body);
  const graph = graphOf(shape, n);
  const times: number[] = [];
  for (let i = n > 200_000 || name === 'LangGraph' ? 1 : n > 20_000 ? 3 : 9; i > 0; i--) {
    const before = process.cpuUsage();
    await engine(graph, 100, body);
    const { user, system } = process.cpuUsage(before);
    times.push((user + system) / graph.length);
  }
  return { us: times.sort((a, b) => a - b)[times.length >> 1] };
}

/** Heap of a started run in which all tasks wait for one that does not end; handles were made before. */
function memory(): object {
  const flow = workflow({ name: 'memory', concurrency: 100 });
  const gate = flow.task('gate', { run: () => new Promise<void>(() => undefined) });
  const body = async (): Promise<void> => undefined;
  const handles: (typeof gate)[] = [];
  for (const [i, before] of graphOf('layered', n).entries()) {
    const dependencies = before.length === 0 ? [gate] : before.map((j) => handles[j] as typeof gate);
    handles.push(flow.task(`t${i}`, { dependencies, run: body }));
  }
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  const run = flow.run();
  run.subscribe();
  globalThis.gc?.();
  return { bytes: (process.memoryUsage().heapUsed - before) / n };
}

async function makespan(graph: Graph, ms: readonly number[], limit: number, bound: number): Promise<object> {
  if (engine === undefined) throw new Error(`no engine ${name}`);
  await engine(graphOf('layered', 300), 100, async () => undefined);
  const begun = performance.now();
  await engine(graph, limit, async (i) => pause(ms[i] ?? 0), ms);
  return { ratio: (performance.now() - begun) / bound };
}

async function measure(): Promise<object> {
  if (kind === 'speed') return speed();
  if (kind === 'memory') return memory();
  if (kind === 'phases') {
    const graph = Array.from({ length: 20 }, (_, i) => (i < 2 ? [] : [i - 2]));
    const ms = graph.map((_, i) => (((i >> 1) + i) % 2 === 0 ? 20 : 200));
    return makespan(graph, ms, 100, criticalPath(graph, ms));
  }
  const { graph, ms } = uneven(n, 200);
  const work = ms.reduce((sum, one) => sum + one, 0);
  return makespan(graph, ms, 8, Math.max(criticalPath(graph, ms), work / 8));
}

console.log(JSON.stringify(await measure()));
process.exit(0);
