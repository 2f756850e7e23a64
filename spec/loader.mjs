// TypeScript from the sources, for the runner and the processes that specs start: some 300 start for one run of the suite, and
// pay half of what they would with tsx. Code without types is kept in node_modules/.cache; the runner removes what is old.
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { register } from 'node:module';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

const isTypeScript = (url) => /\.m?ts$/.test(url);
const cache = fileURLToPath(new URL('../node_modules/.cache/rxhive-spec/', import.meta.url));

// This file again, in the thread that Node asks.
if (!import.meta.url.endsWith('?hooks')) {
  process.setSourceMapsEnabled(true);
  register(`${import.meta.url}?hooks`);
}

export function resolve(specifier, context, next) {
  const { parentURL } = context;
  if (/^\..*\.js$/.test(specifier) && parentURL !== undefined && isTypeScript(parentURL)) {
    const url = new URL(specifier.replace(/js$/, 'ts'), parentURL).href;
    if (existsSync(fileURLToPath(url))) return { url, format: 'module', shortCircuit: true };
  }
  return next(specifier, context);
}

export async function load(url, context, next) {
  if (!isTypeScript(url)) return next(url, context);
  const file = fileURLToPath(url);
  const text = readFileSync(file, 'utf8');
  const name = basename(file);
  // By what is in it: copies of the library, in which specs plant bugs, share what is the same.
  const kept = `${cache}${createHash('sha1').update(`${name}\n${text}`).digest('hex')}.js`;
  if (existsSync(kept)) return { source: readFileSync(kept), format: 'module', shortCircuit: true };
  const { transform } = await import('esbuild');
  const { code: source } = await transform(text, {
    loader: 'ts',
    format: 'esm',
    target: 'node20',
    sourcefile: name,
    sourcemap: 'inline',
    sourcesContent: false,
  });
  mkdirSync(cache, { recursive: true });
  // Two at once must not see half of it.
  const part = `${kept}.${randomUUID()}`;
  writeFileSync(part, source);
  renameSync(part, kept);
  return { source, format: 'module', shortCircuit: true };
}
