import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { statusStyles } from '../../views/status-style.js';

// Makes the one static page: code, style and worker within, so that it opens from a disk as well as from a server.
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

async function bundled(file: string, define: Record<string, string>): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [here(file)],
    bundle: true,
    minify: true,
    write: false,
    format: 'iife',
    target: 'es2022',
    charset: 'utf8',
    legalComments: 'none',
    define,
  });
  // Text that would end the script element may only stand in strings, where an escape means the same.
  return (outputFiles[0]?.text ?? '')
    .trim()
    .replaceAll('</script', '<\\/script')
    .replaceAll('<!--', '<\\!--');
}

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
const worker = await bundled('layout-worker.ts', {});
const code = await bundled('app.ts', { layoutWorkerCode: JSON.stringify(worker) });
const css = (file: string): string => readFileSync(here(file), 'utf8');
const statuses = Object.entries(statusStyles);
const colours = (at: 0 | 1): string =>
  `:root{${statuses.map(([status, one]) => `--${status}:${one.colours[at]}`).join(';')}}`;
const coloured = statuses.map(([status]) => `.${status},.box.${status}{color:var(--${status})}`).join('\n');
const style = [
  css('../../../node_modules/uplot/dist/uPlot.min.css'),
  colours(0),
  `@media (prefers-color-scheme:dark){${colours(1)}}`,
  coloured,
  css('style.css'),
]
  .join('\n')
  .trim();
const policy = [
  "default-src 'none'",
  `script-src ${hashOf(code)}`,
  `style-src ${hashOf(style)}`,
  'worker-src blob:',
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');
// Functions as replacements: a dollar sign in the code means itself.
const page = readFileSync(here('index.html'), 'utf8')
  .replace('content="policy"', () => `content="${policy}"`)
  .replace('<style></style>', () => `<style>${style}</style>`)
  .replace('<script></script>', () => `<script>${code}</script>`);
const target = process.argv[2] ?? here('../../../dist/dashboard/page.html');
mkdirSync(dirname(target), { recursive: true });
// Whole or not at all: somebody may be reading it.
writeFileSync(`${target}.${process.pid}`, page);
renameSync(`${target}.${process.pid}`, target);
