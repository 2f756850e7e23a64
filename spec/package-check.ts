import { execFileSync, spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { publint } from 'publint';
import { followTutorial } from './support/tutorial.js';

/** Packs the library and uses it from an empty project, as a stranger would. */
const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
const project = process.cwd();

function call(command: string, args: string[], cwd = folder): string {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function check(what: string, holds: boolean, detail = ''): void {
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}`);
  if (holds) return;
  console.log(detail);
  process.exitCode = 1;
}

/** Modules of all kinds, in a package without and in one with `"type": "module"`. */
function commandReads(): void {
  const body = "const flow = workflow({ name: 'w' }); flow.task('t', { run: () => 1 });";
  const es = `import { workflow } from 'rxhive'; ${body} export default flow;`;
  const common = `const { workflow } = require('rxhive'); ${body}`;
  mkdirSync(join(folder, 'esm'));
  const modules = {
    'esm/package.json': '{ "type": "module" }',
    'esm/flow.js': es,
    'flow.mjs': es,
    'flow.cjs': `${common} module.exports = flow;`,
    'made.cjs': `Object.defineProperty(exports, '__esModule', { value: true }); ${common} exports.default = flow;`,
    'esm/flow.ts': es,
    'flow.mts': es,
    'flow.cts': es,
    'flow.ts': es,
  };
  for (const [name, text] of Object.entries(modules)) writeFileSync(join(folder, name), text);
  const main = join(folder, 'node_modules/rxhive/dist/cli/main.js');
  const run = (name: string, ...before: string[]): { status: number | null; all: string } => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [...before, main, 'run', name, '--quiet'],
      { cwd: folder, encoding: 'utf8' },
    );
    return { status, all: `${stdout}${stderr}` };
  };
  const runs = (names: readonly string[], ...before: string[]): void => {
    for (const name of names) {
      const { status, all } = run(name, ...before);
      check(
        `the command runs ${name} ${before.at(-1) ?? ''}`,
        status === 0 && all.startsWith('w: succeeded'),
        all,
      );
    }
  };
  const names = Object.keys(modules).filter((name) => !name.endsWith('.json'));
  const isTypeScript = (name: string): boolean => /ts$/.test(name);
  runs(names.filter((name) => !isTypeScript(name)));
  if (!('typescript' in process.features)) {
    const { status, all } = run('flow.ts');
    check('without tsx it says what TypeScript needs', status === 2 && /npm i -D tsx/.test(all), all);
  }
  symlinkSync(join(project, 'node_modules/tsx'), join(folder, 'node_modules/tsx'));
  runs(names.filter(isTypeScript));
  runs(['flow.ts', 'flow.cjs', 'made.cjs', 'esm/flow.ts'], '--import', 'tsx');
  rmSync(join(folder, 'node_modules/tsx'));
}

/** The tutorial in a new project, with SQLite for a Node that has none of its own. */
function tutorialHolds(): void {
  const team = join(folder, 'research-team');
  mkdirSync(team);
  writeFileSync(join(team, 'package.json'), '{ "type": "module" }');
  for (const name of ['tsx', 'libsql'])
    symlinkSync(join(project, 'node_modules', name), join(folder, 'node_modules', name));
  const { commands, differences } = followTutorial(team);
  check(`the ${commands} commands of the tutorial print what it shows`, commands > 7, 'some are not found');
  check('... word for word', differences.length === 0, differences.join('\n'));
}

try {
  call('npm', ['pack', '--silent', '--pack-destination', folder], project);
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) as string;
  const listed = call('tar', ['-tf', tarball]).split('\n');
  check(
    'the package holds only dist, the pages, the examples, what deploys workers, and its papers',
    listed.every(
      (name) =>
        /^$|^package\/(dist\/|docs\/|examples\/|deploy\/(Dockerfile|[\w-]+\.ya?ml)$|[A-Z]+\.md$|LICENSE$|package\.json$)/.test(
          name,
        ) && !/node_modules|docs\/reference|examples\/output/.test(name),
    ),
    listed.join('\n'),
  );
  writeFileSync(join(folder, 'package.json'), '{ "name": "empty", "private": true }');
  call('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', `./${tarball}`]);
  const installed = readdirSync(join(folder, 'node_modules')).filter((name) => !name.startsWith('.'));
  check(
    'it brings rxjs, immer, bottleneck and nothing else',
    installed.sort().join() === 'bottleneck,immer,rxhive,rxjs,tslib',
    installed.join(),
  );
  const program =
    "const run = (r) => { const f = r.workflow({ name: 'w' }); f.task('t', { run: () => 1 }); return f.run().result(); };";
  writeFileSync(
    join(folder, 'use.mjs'),
    `import * as r from 'rxhive'; ${program} console.log((await run(r)).status);`,
  );
  check('import works', call('node', ['use.mjs']).trim() === 'succeeded');
  writeFileSync(
    join(folder, 'same.mjs'),
    "import * as r from 'rxhive'; import { Observable } from 'rxjs'; console.log(r.workflow({ name: 'w' }).run().events$ instanceof Observable);",
  );
  check('its streams are those of the rxjs that is installed', call('node', ['same.mjs']).trim() === 'true');
  const marble =
    "import { workflow } from 'rxhive'; import { marbles } from 'rxhive/testing'; await marbles(({ agent, flow, expectTask }) => { const w = workflow({ name: 'w' }); w.task('t', { run: agent('--a|') }); flow(w); expectTask('t').toBe('--a|'); })(); console.log('same');";
  writeFileSync(join(folder, 'marble.mjs'), marble);
  check('the testing entry works', call('node', ['marble.mjs']).trim() === 'same');
  const noDriver =
    "import { sqlite } from 'rxhive/sqlite'; try { sqlite(':memory:'); } catch (e) { console.log(e.message); }";
  writeFileSync(join(folder, 'store.mjs'), noDriver);
  check(
    'the sqlite entry says which driver it needs',
    /^$|npm install libsql/.test(call('node', ['store.mjs']).trim()),
  );
  const noPg =
    "import { postgres } from 'rxhive/postgres'; await postgres('postgres://h/d').read('r').catch((e) => console.log(e.message));";
  writeFileSync(join(folder, 'pg.mjs'), noPg);
  check('the postgres entry says which package it needs', /npm install pg/.test(call('node', ['pg.mjs'])));
  const noLimits = `import { workflow } from 'rxhive';
    import { postgresLimits } from 'rxhive/postgres';
    const limiter = postgresLimits({ requestsPerMinute: 1 }, { connection: 'postgres://h/d', name: 'n' });
    const flow = workflow({ name: 'w', groups: { g: { limiter } } });
    flow.task('t', { group: 'g', run: () => 1 });
    console.log((await flow.run().result()).tasks.get('t').error.message);`;
  writeFileSync(join(folder, 'pg-limits.mjs'), noLimits);
  check(
    'limits in PostgreSQL say which package they need',
    /postgresLimits\(\) needs pg: run npm install pg/.test(call('node', ['pg-limits.mjs'])),
  );
  const noRedis = `
    import { workflow } from 'rxhive';
    import { redis } from 'rxhive/redis';
    const limiter = redis({ requestsPerMinute: 1 }, { connection: 'redis://h', name: 'n' });
    const flow = workflow({ name: 'w', limiter });
    flow.task('t', { run: () => 1 });
    for (const { error } of (await flow.run().result()).tasks.values()) console.log(error.message);`;
  writeFileSync(join(folder, 'redis.mjs'), noRedis);
  check(
    'the redis entry says which package it needs',
    /npm install ioredis/.test(call('node', ['redis.mjs'])),
  );
  const noSdk = `
    import { workflow } from 'rxhive';
    import { fromA2A } from 'rxhive/a2a';
    import { fromOpenAIAgent } from 'rxhive/openai-agents';
    const flow = workflow({ name: 'w' });
    flow.task('a', { run: (_, ctx) => fromA2A('http://127.0.0.1:1')('x', ctx) });
    flow.task('b', { run: (_, ctx) => fromOpenAIAgent({ name: 'b' })('x', ctx) });
    for (const { error } of (await flow.run().result()).tasks.values()) console.log(error.message);`;
  writeFileSync(join(folder, 'sdk.mjs'), noSdk);
  const told = call('node', ['sdk.mjs']);
  check(
    'adapters say which package they need',
    /npm install @a2a-js\/sdk/.test(told) && /npm install @openai\/agents zod/.test(told),
    told,
  );
  writeFileSync(
    join(folder, 'use.cjs'),
    `${program} run(require('rxhive')).then((x) => console.log(x.status));`,
  );
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || minor >= 19) check('require works', call('node', ['use.cjs']).trim() === 'succeeded');
  else console.log('skipped: require of ESM needs Node 20.19');
  check('the command works', call('npx', ['--no-install', 'rxhive', '--help']).includes('rxhive run MODULE'));
  commandReads();
  tutorialHolds();
  writeFileSync(
    join(folder, 'use.mts'),
    [
      "import { workflow } from 'rxhive';",
      "export const flow = workflow({ name: 'typed' });",
      ...['a2a', 'langgraph', 'openai-agents', 'process'].map((name) => `export * from 'rxhive/${name}';`),
    ].join('\n'),
  );
  const strict = [
    '--strict',
    '--noEmit',
    '--module',
    'nodenext',
    '--target',
    'es2023',
    '--lib',
    'es2023,dom,esnext.disposable',
  ];
  call(join(project, 'node_modules/.bin/tsc'), ['--ignoreConfig', ...strict, 'use.mts']);
  check('its types compile in a strict project', true);
  const { messages } = await publint({ pkgDir: project, strict: true });
  check('publint has nothing to say', messages.length === 0, JSON.stringify(messages));
  call(join(project, 'node_modules/.bin/attw'), [tarball, '--profile', 'esm-only']);
  check('attw has nothing to say', true);
  check('the package has a name and a licence', /"Apache-2.0"/.test(readFileSync('package.json', 'utf8')));
} catch (error) {
  const { stdout, stderr, message } = error as { stdout?: string; stderr?: string; message: string };
  check(message, false, `${stdout ?? ''}${stderr ?? ''}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
