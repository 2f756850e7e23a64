import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { signatureOf } from './support/signature.js';

const out = mkdtempSync(join(tmpdir(), 'rxhive-api-'));
test.before(() => {
  const declarations = ['--emitDeclarationOnly', '--outDir', out];
  execFileSync('node_modules/.bin/tsc', ['-p', 'tsconfig.build.json', ...declarations], {
    stdio: 'inherit',
  });
});
test.after(() => rmSync(out, { recursive: true, force: true }));

/** Entry points of the package: name, and the declarations it stands for. */
const { exports } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  readonly exports: Readonly<Record<string, string | { readonly types: string }>>;
};
const doors = Object.entries(exports).flatMap(([name, entry]) =>
  typeof entry === 'string'
    ? []
    : [{ name: name === '.' ? 'rxhive' : name.slice(2).replaceAll('/', '-'), types: entry.types.slice(7) }],
);

/** Names a file of declarations gives, each with the file that has it and its name there. */
function namesOf(file: string): Map<string, { readonly file: string; readonly name: string }> {
  const text = readFileSync(join(out, file), 'utf8');
  const names = new Map<string, { readonly file: string; readonly name: string }>();
  for (const [, list = '', from] of text.matchAll(/^export (?:type )?\{([^}]*)\}(?: from '([^']+)')?;/gm))
    for (const one of list.split(',').map((part) => part.trim().replace(/^type /, ''))) {
      if (one === '') continue;
      const [name = one, as = name] = one.split(' as ');
      const place =
        from ?? new RegExp(`^import [^;]*\\b${name}\\b[^;]* from '([^']+)';`, 'm').exec(text)?.[1];
      const at = place === undefined ? file : join(dirname(file), place.replace(/\.js$/, '.d.ts'));
      const further = at === file ? undefined : namesOf(at).get(name);
      names.set(as, further ?? { file: at, name });
    }
  for (const [, from = ''] of text.matchAll(/^export \* from '([^']+)';/gm))
    for (const [name, at] of namesOf(join(dirname(file), from.replace(/\.js$/, '.d.ts'))))
      names.set(name, at);
  const own =
    /^export (?:declare )?(?:abstract )?(?:function|class|interface|type|const|enum|namespace) (\w+)/gm;
  for (const [, name = ''] of text.matchAll(own)) names.set(name, { file, name });
  return names;
}

for (const { name, types } of doors) {
  test(`what ${name} gives is on record; UPDATE_API=1 npx tsx spec/api.spec.ts records what is new`, () => {
    const lines = [...namesOf(types)].map(([as, { file, name: there }]) => {
      const signature = signatureOf(readFileSync(join(out, file), 'utf8'), there);
      assert.ok(signature !== undefined, `${file} declares no ${there}`);
      return as === there ? signature : `${signature} // as ${as}`;
    });
    const surface = `${lines.sort().join('\n')}\n`;
    const record = `spec/api/${name}.txt`;
    if (process.env.UPDATE_API === '1') writeFileSync(record, surface);
    assert.is(surface, readFileSync(record, 'utf8'));
  });
}

test('each record is one of an entry point, and the main one is small enough to be read', () => {
  assert.equal(readdirSync('spec/api').sort(), doors.map(({ name }) => `${name}.txt`).sort());
  assert.ok(readFileSync('spec/api/rxhive.txt', 'utf8').trim().split('\n').length <= 80);
});

test('every public symbol has a docstring', () => {
  const bare = new Set<string>();
  for (const { types } of doors)
    for (const { file, name } of namesOf(types).values()) {
      const source = file.replace(/\.d\.ts$/, '.ts');
      const text = readFileSync(join('lib', source), 'utf8');
      const own = `^export (?:declare )?(?:abstract )?(?:async )?(?:function\\*?|class|interface|type|const) ${name}\\b`;
      const at = text.search(new RegExp(own, 'm'));
      if (at >= 0 && !/\*\/\s*$/.test(text.slice(0, at))) bare.add(`lib/${source}: ${name}`);
    }
  assert.equal([...bare], []);
});

test.run();
