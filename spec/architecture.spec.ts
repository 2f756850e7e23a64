import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { movesFrom, type TaskStatus } from '../lib/model/status.js';
import { violations } from './architecture-rules.js';

function lib(): Map<string, string> {
  const names = readdirSync('lib', { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  return new Map(names.map((name) => [name, readFileSync(`lib/${name}`, 'utf8')]));
}

test('the house stands: floors, cycles, sizes, time and chance', () => {
  assert.equal(violations(lib()), []);
});

test('CONTRIBUTING.md names files and scripts that are there', () => {
  const page = readFileSync('CONTRIBUTING.md', 'utf8');
  const named = [...page.matchAll(/`((?:lib|spec|docs|adapters-spec)\/[\w./-]+)`/g)].map(
    ([, path]) => path as string,
  );
  assert.ok(named.length > 30);
  const isThere = (path: string): boolean => path.includes('NAME') || existsSync(path);
  assert.equal(
    named.filter((path) => !isThere(path)),
    [],
  );
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };
  const called = [...page.matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name as string);
  assert.equal(
    called.filter((name) => scripts[name] === undefined),
    [],
  );
});

test('ARCHITECTURE.md is one page, names files and folders that are there, every decision, and the diagram of the code', () => {
  const page = readFileSync('ARCHITECTURE.md', 'utf8');
  assert.ok(page.split('\n').length <= 150, 'longer than a page');
  const named = [...page.matchAll(/`([\w./-]+(?:\.ts|\/))`/g)].map(([, path]) => path as string);
  assert.equal(
    named.filter((path) => !existsSync(`lib/${path}`) && !existsSync(path)),
    [],
    'named, but not there',
  );
  const subjects = page.slice(page.indexOf('## Decisions'));
  const listed = new Set([...subjects.matchAll(/\b(\d+) [a-z]/g)].map(([, number]) => Number(number)));
  const decisions = readdirSync('docs/decisions').filter((name) => /^\d/.test(name));
  assert.equal(
    decisions.map((name) => Number(name.slice(0, 4))).filter((number) => !listed.has(number)),
    [],
    'decisions to list there by subject',
  );
  const index = readFileSync('docs/decisions/README.md', 'utf8');
  const lines = decisions.map((name) => {
    const [, number, title] = /^# (\d+)\. (.+)$/m.exec(readFileSync(`docs/decisions/${name}`, 'utf8')) ?? [];
    return `- ${number}. [${title}](${name})`;
  });
  assert.equal(
    lines.filter((line) => !index.split('\n').includes(line)),
    [],
    'lines to add to docs/decisions/README.md, under their subject',
  );
  const drawing = /```\n([^`]*added -> waiting[^`]*)```/.exec(page)?.[1] as string;
  const inCode = readFileSync('lib/model/status.ts', 'utf8').replaceAll(/^ \* ?/gm, '');
  const shape = (text: string): string => text.replaceAll(/\s+/g, ' ').trim();
  assert.ok(shape(inCode).includes(shape(drawing)), 'the diagram is that of lib/model/status.ts');
});

test('specs stand as what they are about: each folder of spec/ has the name of one of lib/', () => {
  const besides = ['api', 'output', 'support'];
  const folders = readdirSync('spec', { withFileTypes: true })
    .filter((one) => one.isDirectory() && !one.name.startsWith('.') && !besides.includes(one.name))
    .map((one) => one.name);
  assert.equal(
    folders.filter((name) => !existsSync(`lib/${name}`)),
    [],
  );
});

test("the picture of a task's life shows moves that are there, and its table every status", () => {
  const page = readFileSync('docs/concepts/life-of-a-task.md', 'utf8');
  const statusOf = (name: string | undefined) => name?.replace('_', '-') as TaskStatus;
  const drawn = [...page.matchAll(/^ +(\w+) --> (\w+)/gm)].map(
    ([, from, to]) => [statusOf(from), statusOf(to)] as const,
  );
  assert.ok(drawn.length >= 10);
  assert.equal(
    drawn.filter(([from, to]) => !movesFrom[from]?.includes(to)),
    [],
    'drawn, but not in lib/model/status.ts',
  );
  const told = [...page.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, status]) => status);
  assert.equal(told.sort(), Object.keys(movesFrom).sort());
});

const planted: [file: string, text: string, rule: RegExp][] = [
  ['kernel/planted.ts', "import { plan } from '../plan/graph.js';", /lower floor/],
  ['plan/planted.ts', "import { State } from '../commit/state.js';", /lower floor/],
  ['stores/planted.ts', "import { Run } from '../run.js';", /edge imports/],
  ['run.ts', "import { x } from './testing/x.js';", /imports testing/],
  ['run.ts', "import { storeAt } from './stores/at-path.js';", /lower floor/],
  ['commit/planted.ts', "import { memory } from '../stores/memory.js';", /lower floor/],
  ['plan/planted.ts', "import { produce } from 'immer';", /immer/],
  ['plan/planted.ts', "import B from 'bottleneck';", /bottleneck/],
  ['plan/planted.ts', "import fs from 'node:fs';", /builtin/],
  ['plan/planted.ts', 'const t = Date.now();', /ambient/],
  ['plan/planted.ts', 'const t = new Promise(() => 1);', /promise/],
  ['plan/planted.ts', 'let x: any;', /any/],
  ['plan/planted.ts', 'console.log(1);', /console/],
  ['plan/utils.ts', '', /bad file name/],
  ['plan/planted.ts', '\n'.repeat(401), /lines/],
  ['attic/planted.ts', '', /unknown place/],
];

for (const [file, text, rule] of planted) {
  test(`a planted fault is found: ${rule.source}`, () => {
    const found = violations(lib().set(file, text)).filter((one) => one.file === file);
    assert.ok(
      found.some((one) => rule.test(one.rule)),
      JSON.stringify(found),
    );
  });
}

test('importing the library loads no builtin of Node', () => {
  const files = lib();
  const seen = new Set<string>();
  const builtins: string[] = [];
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const [, typeOnly, target = ''] of (files.get(file) ?? '').matchAll(
      /^(?:import|export)( type)?[^;]*? from '([^']+)';$/gm,
    )) {
      if (typeOnly !== undefined) continue;
      if (target.startsWith('node:')) builtins.push(`${file}: ${target}`);
      if (target.startsWith('.'))
        visit(new URL(target, `file:///${file}`).pathname.slice(1).replace(/\.js$/, '.ts'));
    }
  };
  visit('index.ts');
  assert.ok(seen.has('stores/at-path.ts') && !seen.has('stores/sqlite.ts'), [...seen].join());
  assert.equal(builtins, []);
});

test('a planted cycle is found', () => {
  const files = lib()
    .set('plan/a.ts', "import { b } from './b.js';")
    .set('plan/b.ts', "import { a } from './a.js';");
  assert.ok(violations(files).some((one) => /cycle/.test(one.rule)));
});

test.run();
