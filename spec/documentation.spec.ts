import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { linksIn, slug, targetOf } from '../docs-site/pages.js';
import { type ErrorCode, messageOf, RxhiveError } from '../lib/kernel/errors.js';
import { checkPrograms, programsIn } from './support/page-programs.js';

// What pages show is true:
// - A fence of `ts` that imports from rxhive is a program. It compiles, runs and ends by itself. A fence without such an import
//   is not run: code of other libraries, or a part of a program.
// - `console.log(x); // 3` says that this call prints `3`, once or more. A remark may follow after a comma, a semicolon, a colon
//   or in parentheses: `// 3, and typed as number`. `...` stands for anything. Comments that are no output have lines of their own.
// - A fence of `text` right after a program, with at most two lines between, is all that it prints, `...` for what may differ.
// - Links are relative, to files of the repository, and anchors as GitHub makes them.

const pages = [
  'README.md',
  'CHANGELOG.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'CODE_OF_CONDUCT.md',
  'examples/README.md',
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !name.startsWith('reference')) // that is generated
    .map((name) => `docs/${name}`),
].flatMap((page) => {
  try {
    return [{ page, text: readFileSync(page, 'utf8') }];
  } catch {
    return [];
  }
});

/** Anchors of the headings of a page. Equal headings get -1, -2, ... */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.+)$/gm)) {
    const plain = slug(heading.replaceAll(/\[([^\]]*)\]\([^)]*\)|[`*]/g, '$1'));
    let anchor = plain;
    for (let n = 1; anchors.has(anchor); n++) anchor = `${plain}-${n}`;
    anchors.add(anchor);
  }
  return anchors;
}

test('every link leads somewhere, anchors too', () => {
  const dead: string[] = [];
  for (const { page, text } of pages) {
    for (const link of linksIn(text)) {
      const [path = '', anchor] = link.split('#');
      // The reference is made with the site, whose build finds dead links.
      if (/reference\/(rxhive|README)/.test(path)) continue;
      const file = path === '' ? page : targetOf(page, path);
      const isDead =
        file === undefined ||
        (anchor !== undefined &&
          !(file.endsWith('.md') && anchorsOf(readFileSync(file, 'utf8')).has(anchor)));
      if (isDead) dead.push(`${page}: ${link}`);
    }
  }
  assert.equal(dead, []);
});

/**
 * A page of errors, whose programs print the whole message instead of the code: what the section quotes, then an address with
 * the code. Lists are quoted on one line.
 */
function printingMessages(page: string, text: string): string {
  if (!page.startsWith('docs/errors/')) return text;
  return text.replaceAll(
    /^(> (.+)$[\s\S]*?)\.code(\)+); \/\/ (\w+)$/gm,
    (_, before: string, quote: string, close: string, code: string) =>
      `${before}.message.replace('\\n  - ', ' ')${close}; // ${quote} See ...#${code}`,
  );
}

test('every program in the pages compiles and runs, and prints what its page says', async () => {
  const programs = pages.flatMap(({ page, text }) => programsIn(page, printingMessages(page, text)));
  assert.ok(programs.length >= 30);
  assert.equal(await checkPrograms(programs), []);
});

test('every picture is drawn by a test or an example', () => {
  const sources = ['spec', 'marbles', 'examples'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => /^(?!.*(node_modules|output)).*\.ts$/.test(name))
      .map((name) => readFileSync(`${folder}/${name}`, 'utf8')),
  );
  const orphans = pages.flatMap(({ page, text }) =>
    [...text.matchAll(/!\[[^\]]*\]\(([^)]+)\)/g)]
      .map(([, path = '']) => /([\w-]+)\.(svg|png)$/.exec(path)?.[1] ?? path)
      .filter((name) => !sources.some((code) => new RegExp(`['"\`/]${name}(\\.svg)?['"\`]`).test(code)))
      .map((name) => `${page}: ${name}`),
  );
  assert.equal(orphans, []);
});

test('every error code has a section with a program that provokes it, and its errors lead there', () => {
  const source = readFileSync('lib/kernel/errors.ts', 'utf8');
  const [, union = ''] = /export type ErrorCode =([^;]*);/.exec(source) ?? [];
  const codes = [...union.matchAll(/'(\w+)'/g)].map(([, code]) => code as ErrorCode);
  const sections = pages
    .filter(({ page }) => page.startsWith('docs/errors/'))
    .flatMap(({ text }) => text.split(/^## /m).slice(1));
  const about = new Map(sections.map((text) => [text.slice(0, text.indexOf('\n')), text]));
  assert.equal([...about.keys()].sort(), [...codes].sort());
  const list = readFileSync('docs/errors.md', 'utf8');
  for (const [code, text] of about) {
    assert.match(text, new RegExp(`// ${code}$`, 'm'));
    assert.match(list, new RegExp(`\\(errors/\\w+\\.md#${code}\\)`));
    assert.match(text, /^> [\s\S]*\*\*Why\.\*\*[\s\S]*\*\*What to do\.\*\*/m);
  }
  const { homepage } = JSON.parse(readFileSync('package.json', 'utf8')) as { homepage: string };
  for (const code of codes) {
    const error = new RxhiveError(code, 'It failed.');
    assert.is(error.message, `It failed. See ${homepage}errors#${code}`);
    const around = new RxhiveError('STORE_FAILED', `The store: ${error.message}`);
    assert.is(around.message, `The store: It failed. See ${homepage}errors#STORE_FAILED`);
    assert.is(messageOf(error), 'It failed.');
  }
  assert.match(new RxhiveError('INVALID_OPTION', 'Two:\n  - a\n  - b').message, /\n {2}- b\nSee https:\S+$/);
});

test.run();
