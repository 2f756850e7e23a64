import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Node, parse } from 'acorn';
import { transformSync } from 'esbuild';
import { lastValueFrom, range } from 'rxjs';
import type * as Library from '../lib/index.js';

// Five walks through the library: what one thing costs in calls of its functions, through how many files, and how often
// a walk comes back into a file it has left. A copy of lib/ counts at the entry of each function. `npm run bench -- walks`,
// with the lib folder of another checkout to compare; LIST=1 prints each step.

type Step = readonly [file: string, name: string];
const steps: Step[] = [];
let counting = false;
Object.assign(globalThis, {
  enterFunction: (file: string, name: string): void => {
    if (counting) steps.push([file, name]);
  },
});

/** Code that says at the entry of each function which one it is. */
function counted(file: string, code: string): string {
  const puts: [at: number, text: string][] = [];
  const visit = (node: Node, name: string): void => {
    const { key, id = key } = node as Node & { readonly key?: Node | null; readonly id?: Node | null };
    const own = id ? code.slice(id.start, id.end) : name;
    if (/Function/.test(node.type)) {
      const call = `enterFunction(${JSON.stringify(file)}, ${JSON.stringify(own)})`;
      const { body, params } = node as Node & { readonly body: Node; readonly params: readonly Node[] };
      if (body.type === 'BlockStatement') puts.push([body.start + 1, `${call};`]);
      else {
        const arrow = code.indexOf('=>', params.at(-1)?.end ?? node.start) + 2;
        puts.push([arrow, `(${call},`], [node.end, ')']);
      }
    }
    for (const value of Object.values(node).flat())
      if (typeof value?.type === 'string') visit(value as Node, own);
  };
  visit(parse(code, { ecmaVersion: 'latest', sourceType: 'module' }), 'top');
  let text = code;
  for (const [at, put] of puts.sort(([a], [b]) => b - a)) text = text.slice(0, at) + put + text.slice(at);
  return text;
}

/** A copy of a library that counts. */
function copy(lib: string, folder: string): void {
  for (const name of readdirSync(lib, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts') || name.endsWith('.d.ts') || name.startsWith('dashboard/page')) continue;
    const { code } = transformSync(readFileSync(join(lib, name), 'utf8'), { loader: 'ts', target: 'es2022' });
    const file = join(folder, name.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, counted(name, code));
  }
}

/** Counts from here. */
function begin(): void {
  steps.length = 0;
  counting = true;
}

function end(): Step[] {
  counting = false;
  return [...steps];
}

/** How often a walk comes into a file it has been in, and left. */
function returns(walk: readonly Step[]): number {
  const known = new Set<string>();
  let count = 0;
  walk.forEach(([file], i) => {
    if (file !== walk[i - 1]?.[0] && known.has(file)) count += 1;
    known.add(file);
  });
  return count;
}

const values = 20;

const walks: Readonly<Record<string, (library: typeof Library) => Promise<readonly Step[]>>> = {
  'flow.run() of one task, before anything starts': async ({ workflow }) => {
    const flow = workflow({ name: 'one' });
    let walk: Step[] | undefined;
    flow.task('t', {
      run: () => {
        walk ??= end();
      },
    });
    begin();
    const run = flow.run();
    walk ??= end();
    await run.result();
    return walk;
  },
  'one added task, from ctx.spawn to its result, commit and events included': async ({
    memory,
    workflow,
  }) => {
    const flow = workflow({ name: 'added' });
    let walk: Step[] = [];
    flow.task('parent', {
      run: async (_, ctx) => {
        begin();
        await ctx.join(ctx.spawn('child', { run: () => 1 }));
        walk = end();
      },
    });
    const run = flow.run({ store: memory(), runId: 'r' });
    run.events$.subscribe();
    await run.result();
    return walk;
  },
  'a 429: body to gate to retry': async ({ workflow }) => {
    const flow = workflow({ name: 'busy', groups: { llm: { limiter: { requestsPerMinute: 10 } } } });
    let walk: Step[] = [];
    flow.task('t', {
      group: 'llm',
      retry: { count: 1 },
      run: (_, ctx) => {
        if (ctx.attempt > 1) {
          walk = end();
          return;
        }
        begin();
        throw Object.assign(new Error('busy'), { status: 429, headers: { 'retry-after-ms': '5' } });
      },
    });
    const run = flow.run();
    run.events$.subscribe();
    await run.result();
    return walk;
  },
  "a person's answer back to the body": async ({ human, typed, workflow }) => {
    const flow = workflow({ name: 'asks' });
    let walk: Step[] = [];
    flow.task('t', {
      run: async (_, ctx) => {
        await ctx.ask(human(typed<boolean>(), 'Go on?'));
        walk = end();
      },
    });
    const run = flow.run();
    run.events$.subscribe();
    run.questions$.subscribe(([question]) => {
      if (question === undefined) return;
      setTimeout(() => {
        begin();
        void run.answer(question.id, true);
      });
    });
    await run.result();
    return walk;
  },
  'a value of hive.mergeMap, from its body to that of the next one': async ({ controller }) => {
    let walk: Step[] = [];
    const work = async (value: number): Promise<void> => {
      if (value === values / 2) begin();
      else if (value === values / 2 + 1) walk = end();
    };
    await lastValueFrom(range(0, values).pipe(controller({ concurrency: 1 }).mergeMap('work', work)));
    return walk;
  },
};

const folder = mkdtempSync('.walks-');
try {
  copy(process.argv[2] ?? '../lib', folder);
  const library = (await import(pathToFileURL(resolve(folder, 'index.js')).href)) as typeof Library;
  for (const [name, walk] of Object.entries(walks)) {
    await walk(library); // what is made once is there by then
    const taken = await walk(library);
    const files = new Set(taken.map(([file]) => file)).size;
    console.log(`${name}: ${taken.length} calls, ${files} files, ${returns(taken)} returns`);
    if (process.env.LIST) for (const [file, called] of taken) console.log(`  ${file} ${called}`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
