import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const pages = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'CODE_OF_CONDUCT.md',
  'examples/README.md',
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !name.startsWith('reference')) // that is generated
    .map((name) => `docs/${name}`),
];

test('every relative link leads somewhere', () => {
  const dead: string[] = [];
  for (const page of pages) {
    for (const [, target] of readFileSync(page, 'utf8').matchAll(/\]\((?!https?:)([^)#:]+)[^)]*\)/g)) {
      if (!existsSync(join(dirname(page), target as string))) dead.push(`${page}: ${target}`);
    }
  }
  assert.equal(dead, []);
});

/** Entry points whose programs need nothing that is not installed here, and their sources. */
const doors = Object.entries(
  (JSON.parse(readFileSync('package.json', 'utf8')) as { exports: Record<string, { default?: string }> })
    .exports,
)
  .filter(([name]) =>
    /^\.(\/(events|limits|stores|records|agents|types|testing|testing\/conformance|dashboard|load|process))?$/.test(
      name,
    ),
  )
  .map(
    ([name, { default: file = '' }]) =>
      [name.replace('.', 'rxhive'), file.replace('./dist/', 'lib/')] as const,
  );

test('every program in the pages compiles and runs', () => {
  const folder = resolve(mkdtempSync('spec/.pages-'));
  try {
    const programs: string[] = [];
    for (const page of pages) {
      for (const [, code] of readFileSync(page, 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)) {
        if (code === undefined || !doors.some(([name]) => code.includes(`from '${name}'`))) continue;
        const file = join(folder, `page${programs.length}.ts`);
        writeFileSync(
          file,
          doors.reduce((text, [name, file]) => text.replaceAll(`'${name}'`, `'../../${file}'`), code),
        );
        programs.push(file);
      }
    }
    assert.ok(programs.length >= 3);
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ extends: '../../tsconfig.json', include: ['*.ts'] }),
    );
    execFileSync('node_modules/.bin/tsc', ['-p', folder], { encoding: 'utf8' });
    execFileSync('npm', ['run', '--silent', 'page']); // what a user of the package has
    for (const program of programs)
      execFileSync(process.execPath, ['--import', 'tsx', program], {
        cwd: folder,
        encoding: 'utf8',
        timeout: 20_000,
      });
  } catch (error) {
    assert.unreachable(`${(error as { stdout?: string }).stdout ?? ''}${(error as Error).message}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
