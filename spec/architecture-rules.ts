/** A rule that a file breaks. */
export interface Violation {
  readonly file: string;
  readonly rule: string;
}

const floors: Readonly<Record<string, number>> = {
  kernel: 0,
  model: 1,
  plan: 2,
  schedule: 2,
  execute: 2,
  commit: 2,
  observe: 2,
  'engine.ts': 3,
  'run.ts': 4,
  'workflow.ts': 5,
  'run-workflow.ts': 6,
  'fallback.ts': 6,
  replay: 6,
  'orchestrator.ts': 6,
  'index.ts': 7,
  cli: 8,
  dashboard: 7,
};
/** Edge folders implement ports: they see kernel, model and themselves; the workflow, which may choose one, sees them. */
const edge = new Set(['limiters', 'stores', 'executors', 'adapters', 'messaging', 'telemetry', 'load']);
const edgeFloor = 4;
const core = new Set([
  'kernel',
  'model',
  'plan',
  'schedule',
  'execute',
  'commit',
  'observe',
  'engine.ts',
  'run.ts',
  'workflow.ts',
]);
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
    if (core.has(here)) {
      if (ambient.test(text) && file !== 'kernel/clock.ts') fail('ambient time or chance');
      if (barePromise.test(text)) fail('bare promise');
    }
    for (const [, typeOnly, specifier] of text.matchAll(/(?:import|export)( type)?[^;]*? from '([^']+)'/g)) {
      const target = specifier as string;
      if (target === 'immer' && here !== 'commit') fail('immer outside commit');
      if (target === 'bottleneck' && file !== 'limiters/bottleneck.ts')
        fail('bottleneck outside its limiter');
      if (target.startsWith('node:') && core.has(here)) fail('a builtin of Node in the core');
      if (!target.startsWith('.')) continue;
      const to = resolve(file, target);
      const there = place(to);
      if (!files.has(to)) fail(`imports ${to}, which does not exist`);
      if (typeOnly === undefined) graph.set(file, [...(graph.get(file) ?? []), to]);
      // The command stands above all: what it writes may be a test.
      if (there === 'testing' && here !== 'testing' && here !== 'cli') fail('imports testing');
      if (here === there || here === 'testing' || there === 'testing') continue;
      if (edge.has(here)) {
        if (there !== 'kernel' && there !== 'model') fail(`edge imports ${there}`);
      } else if ((floors[there] ?? (edge.has(there) ? edgeFloor : 99)) >= (floor ?? -1))
        fail(`imports ${there}, which is not on a lower floor`);
    }
  }
  return [...found, ...cycles(graph)];
}

function cycles(graph: ReadonlyMap<string, readonly string[]>): Violation[] {
  const state = new Map<string, 'open' | 'done'>();
  const found: Violation[] = [];
  const visit = (file: string): void => {
    state.set(file, 'open');
    for (const next of graph.get(file) ?? []) {
      if (state.get(next) === 'open') found.push({ file, rule: `cycle through ${next}` });
      else if (state.get(next) === undefined) visit(next);
    }
    state.set(file, 'done');
  };
  for (const file of graph.keys()) if (state.get(file) === undefined) visit(file);
  return found;
}
