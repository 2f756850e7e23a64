// Checks of the site as it was built: `npm run docs -- check`. Each question finds its answer, pages are accessible, nothing is
// wider than a phone. Screenshots stand in docs-site/screenshots.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium, type Page } from 'playwright-core';
import { root } from './pages.js';
import { options } from './search.js';

const here = join(root, 'docs-site');
const dist = join(here, 'dist');
const base = '/rxhive/';

/** Questions of a newcomer, and the pages that answer them. */
const questions: readonly (readonly [question: string, pages: RegExp])[] = [
  ['limit requests per minute', /guides\/limits|start\/04/],
  ['retry', /guides\/failure|start\/03|RetryOptions/],
  ['resume after crash', /start\/06|guides\/(checkpoints|recovery)/],
  ['run tasks in parallel', /start\/0[12]|guides\/(tasks|concurrency)/],
  ['cancel', /guides\/(failure|tasks|events)|errors#WORKFLOW_CANCELLED|start\//],
  ['ask a human', /guides\/humans/],
  ['share state', /start\/05|guides\/state|concepts\/state/],
  ['dynamic tasks', /guides\/dynamic-tasks/],
  ['test with marbles', /start\/07|guides\/(testing|marbles)/],
  ['timeout', /guides\/failure|start\/03|TimeoutOptions|errors#TASK_TIMEOUT/],
  ['budget cost', /guides\/budgets/],
  ['BeeAI', /guides\/beeai|coming-from\/beeai/],
  ['priority', /guides\/(scheduling|concurrency)/],
  ['gpu memory', /guides\/(concurrency|scheduling|tasks|load)/],
  ['p-queue', /coming-from\/p-queue/],
  ['error code', /errors/],
  ['checkpoint postgres', /guides\/(checkpoints|stores)|reference\/rxhive\/postgres/],
  ['monitor progress', /guides\/(dashboard|events|orchestrator)/],
  ['stream tokens', /concepts\/streams|guides\/rxjs/],
  ['worker threads', /guides\/threads/],
  ['pipeline stages', /guides\/(stages|marbles)/],
  ['server-sent events', /guides\/streams/],
  ['share limits between runs', /guides\/(controller|limits)/],
  ['mergeMap', /guides\/(controller|rxjs)|coming-from\/rxjs/],
];

/** A page of each kind. */
const kinds = [
  '',
  'start/01-tasks',
  'guides/limits',
  'guides/controller',
  'concepts/life-of-a-task',
  'errors',
  'decisions/',
  'reference/',
  'reference/rxhive/interfaces/TaskContext',
  'reference/rxhive/limits/',
  'reference/source/CHANGELOG',
];

const faults: string[] = [];

async function checkSearch(): Promise<void> {
  const chunks = join(dist, 'assets/chunks');
  const file = readdirSync(chunks).find((name) => name.startsWith('@localSearchIndexroot'));
  const { default: index } = (await import(pathToFileURL(join(chunks, file ?? '')).href)) as {
    default: string;
  };
  const load = createRequire(join(here, 'package.json'));
  const { default: MiniSearch } = (await import(pathToFileURL(load.resolve('minisearch')).href)) as {
    default: { loadJSON(text: string, options: object): { search(text: string): { id: string }[] } };
  };
  const search = MiniSearch.loadJSON(index, {
    fields: ['title', 'titles', 'text'],
    storeFields: ['title', 'titles'],
    ...options,
  });
  for (const [question, pages] of questions) {
    const first = search
      .search(question)
      .slice(0, 3)
      .map(({ id }) => id.replace(base, ''));
    if (!first.some((id) => pages.test(id))) faults.push(`search "${question}" finds ${first.join(', ')}`);
  }
}

const types: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

function serve(): Promise<{ readonly at: string; close(): void }> {
  const server = createServer(({ url = '/' }, response) => {
    const path = decodeURIComponent(new URL(url, 'http://site').pathname);
    const file = [path, `${path}.html`, `${path}/index.html`]
      .map((name) => join(dist, name.replace(base, '/')))
      .find((name) => name.startsWith(dist) && existsSync(name) && statSync(name).isFile());
    if (file === undefined) {
      response.writeHead(404, { 'content-type': 'text/html' }).end('Not found');
      return;
    }
    response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream' });
    response.end(readFileSync(file));
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      resolve({ at: `http://127.0.0.1:${port}${base}`, close: () => server.close() });
    });
  });
}

interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly nodes: readonly { readonly target: unknown }[];
  }[];
}

async function checkPage(page: Page, kind: string, width: number, axe: string): Promise<void> {
  const name = `${kind.replaceAll(/\W+/g, '-').replaceAll(/^-|-$/g, '') || 'home'}-${width}`;
  await page.evaluate('document.fonts.ready');
  const wide = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
  if (typeof wide === 'number' && wide > 0) faults.push(`${name} is ${wide} px wider than the screen`);
  await page.evaluate(axe);
  const { violations } = (await page.evaluate('axe.run(document)')) as AxeResult;
  for (const { id, nodes } of violations)
    faults.push(
      `${name}: ${id} at ${nodes
        .slice(0, 3)
        .map(({ target }) => String(target))
        .join(', ')}`,
    );
  await page.screenshot({ path: join(here, 'screenshots', `${name}.png`) });
}

async function checkPages(executablePath: string): Promise<void> {
  mkdirSync(join(here, 'screenshots'), { recursive: true });
  const axe = readFileSync(join(here, 'node_modules/axe-core/axe.min.js'), 'utf8');
  const site = await serve();
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  try {
    for (const [width, height] of [
      [360, 740],
      [1280, 800],
    ] as const) {
      const context = await browser.newContext({ viewport: { width, height }, reducedMotion: 'reduce' });
      const page = await context.newPage();
      page.on('pageerror', (error) => faults.push(`${page.url()}: ${error.message}`));
      page.on('console', (said) => {
        if (said.type() === 'error') faults.push(`${page.url()}: ${said.text()}`);
      });
      for (const kind of kinds) {
        const answer = await page.goto(`${site.at}${kind}`, { waitUntil: 'networkidle' }).catch(() => null);
        if (answer?.status() !== 200) faults.push(`${kind} is not there`);
        else await checkPage(page, kind, width, axe);
      }
      await context.close();
    }
  } finally {
    await browser.close();
    site.close();
  }
}

await checkSearch();
const browser = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find(
  (path) => path !== undefined && existsSync(path),
);
if (browser === undefined) console.log('skipped: pages in a browser; install Chromium or set CHROMIUM');
else await checkPages(browser);
for (const fault of faults) console.error(fault);
if (faults.length > 0) process.exit(1);
console.log(`the site is in order: ${questions.length} questions, ${kinds.length} kinds of pages`);
