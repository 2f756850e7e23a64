/** A rule that a file breaks. */
export interface Violation {
  readonly file: string;
  readonly rule: string;
}

/** A file imports, also types, only from lower floors and from its own folder. */
const floors: Readonly<Record<string, number>> = {
  kernel: 0,
  model: 1,
  codec: 2,
  graph: 3,
  limiters: 3,
  plan: 4,
  limits: 4,
  schedule: 4,
  execute: 4,
  messaging: 4,
  commit: 4,
  observe: 4,
  operators: 5,
  'intake.ts': 5,
  'engine.ts': 6,
  'history.ts': 6,
  'run.ts': 7,
  'workflow.ts': 8,
  'run-workflow.ts': 9,
  'controller.ts': 9,
  'fallback.ts': 9,
  replay: 9,
  'orchestrator.ts': 9,
  'index.ts': 10,
  entry: 10,
  views: 10,
  streams: 10,
  dashboard: 11,
  cli: 12,
};
/** Edge folders implement ports: they see kernel, model, codec and themselves; the workflow, which may choose one, sees them. */
const edge = new Set(['stores', 'executors', 'adapters', 'telemetry', 'load']);
const edgeFloor = 7;
const core = new Set(Object.keys(floors).filter((place) => (floors[place] as number) <= 8));
/** Files that know each other, and why. Nothing else does. */
const circles: readonly (readonly [reason: string, files: readonly string[]])[] = [
  [
    'A body gets a context, a context hands out tasks, and an executor gives tasks their bodies.',
    ['model/context.ts', 'model/executor.ts', 'model/task.ts'],
  ],
  [
    'A task stands in a lane, a lane has gates, gates look at tasks, and a choice is made among their edges.',
    ['graph/choice-state.ts', 'graph/gate.ts', 'graph/lane.ts', 'graph/node.ts'],
  ],
  [
    'A mailbox is what one attempt sees of the messages of its run, which make it.',
    ['messaging/mailbox.ts', 'messaging/messages.ts'],
  ],
];
const mostInCircle = 4;
const badNames = /(^|\/)(utils?|helpers?|manager|common|misc)(\.ts|\/)/;
const ambient =
  /\b(Date\.now|new Date(?!\([^)])|performance\.now|Math\.random|setTimeout|setInterval|setImmediate|queueMicrotask|process\.nextTick)\b/;
const barePromise = /\b(new Promise|Promise\.(resolve|all|race|any|allSettled)|async )\b/;
const mostLines = 400;

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
}

/** First folder of a file, or the file itself at the top. */
function place(file: string): string {
  return file.split('/')[0] as string;
}

function resolve(file: string, specifier: string): string {
  const parts = file.split('/').slice(0, -1);
  for (const part of specifier.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  return parts.join('/').replace(/\.js$/, '.ts');
}

/** Checks all files of lib, given as path within lib -> text. */
export function violations(files: ReadonlyMap<string, string>): Violation[] {
  const found: Violation[] = [];
  const graph = new Map<string, string[]>();
  for (const [file, raw] of files) {
    const fail = (rule: string): void => {
      found.push({ file, rule });
    };
    const text = withoutComments(raw);
    const here = place(file);
    const floor = floors[here];
    if (floor === undefined && !edge.has(here) && here !== 'testing') fail(`unknown place ${here}`);
    if (badNames.test(file)) fail('bad file name');
    if (raw.split('\n').length - 1 > mostLines) fail(`more than ${mostLines} lines`);
    if (/(:|<|\bas) any\b|\bany\[\]/.test(text)) fail('any');
    if (here !== 'cli' && /\bconsole\./.test(text)) fail('console');
    // Bottleneck speaks in promises.
    if (core.has(here) && file !== 'limiters/bottleneck.ts') {
      if (ambient.test(text) && file !== 'kernel/clock.ts') fail('ambient time or chance');
      if (barePromise.test(text)) fail('bare promise');
    }
    for (const [, , specifier] of text.matchAll(/(?:import|export)( type)?[^;]*? from '([^']+)'/g)) {
      const target = specifier as string;
      if (target === 'immer' && here !== 'commit' && here !== 'codec') fail('immer outside commit and codec');
      if (target === 'bottleneck' && file !== 'limiters/bottleneck.ts')
        fail('bottleneck outside its limiter');
      if (target.startsWith('node:') && core.has(here)) fail('a builtin of Node in the core');
      if (!target.startsWith('.')) continue;
      const to = resolve(file, target);
      const there = place(to);
      if (!files.has(to)) fail(`imports ${to}, which does not exist`);
      graph.set(file, [...(graph.get(file) ?? []), to]);
      // The command stands above all: what it writes may be a test.
      if (there === 'testing' && here !== 'testing' && here !== 'cli') fail('imports testing');
      if (here === there || here === 'testing' || there === 'testing') continue;
      if (edge.has(here)) {
        if (there !== 'kernel' && there !== 'model' && there !== 'codec') fail(`edge imports ${there}`);
      } else if ((floors[there] ?? (edge.has(there) ? edgeFloor : 99)) >= (floor ?? -1))
        fail(`imports ${there}, which is not on a lower floor`);
    }
  }
  return [...found, ...cycles(graph)];
}

function cycles(graph: ReadonlyMap<string, readonly string[]>): Violation[] {
  const named = new Set(circles.map(([, files]) => [...files].sort().join()));
  return circlesOf(graph)
    .map((files) => [...files].sort())
    .filter((files) => files.length > mostInCircle || !named.has(files.join()))
    .map((files) => ({ file: files[0] as string, rule: `cycle of ${files.join(', ')}` }));
}

/** Files that import each other, directly or not. Source: R. Tarjan, Depth-first search and linear graph algorithms (1972). */
function circlesOf(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = [];
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const visit = (file: string): void => {
    order.set(file, order.size);
    lowest.set(file, order.get(file) as number);
    stack.push(file);
    for (const next of graph.get(file) ?? []) {
      if (!order.has(next)) visit(next);
      if (stack.includes(next))
        lowest.set(file, Math.min(lowest.get(file) as number, lowest.get(next) as number));
    }
    if (lowest.get(file) !== order.get(file)) return;
    const circle = stack.splice(stack.indexOf(file));
    if (circle.length > 1) found.push(circle);
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return found;
}
