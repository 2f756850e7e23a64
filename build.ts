import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative, resolve } from 'node:path';
import { build, type Plugin } from 'esbuild';

// Makes dist/: declarations file by file, and one file of code for each entry point, with what several share in chunks/.
// Most of the time of an import is opening files: 200 of the library, 220 of rxjs where 75 do.

const dist = 'dist';
const { exports, bin } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  readonly exports: Record<string, string | { readonly default: string }>;
  readonly bin: Record<string, string>;
};
const entryPoints = [
  ...Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [] : [entry.default])),
  ...Object.values(bin),
  './dist/executors/thread-worker.js', // a thread begins there
  './dist/executors/keeper-thread.js', // and there
].map((file) => file.slice('./'.length));

/** Entries that programs import, as files. */
const besideMain = new Set(
  Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [] : [resolve(entry.default)])),
);

function filesOf(ending: string): string[] {
  const all = readdirSync(dist, { recursive: true, encoding: 'utf8' });
  return all.filter((name) => name.endsWith(ending)).map((name) => relative('.', join(dist, name)));
}

/** `#rxjs` of package.json: the names that are used, each of its own file of rxjs. The very same objects that `rxjs` has. */
function rxjsInUse(): string {
  const code = filesOf('.js').map((file) => readFileSync(file, 'utf8'));
  const imports = code.flatMap((text) => [...text.matchAll(/import \{([^}]*)\} from 'rxjs';/g)]);
  const names = new Set(
    imports.flatMap(([, list = '']) => list.split(',')).map((name) => name.trim().split(' ')[0] ?? ''),
  );
  names.delete('');
  const require = createRequire(import.meta.url);
  const rxjs = require('rxjs') as Record<string, unknown>;
  const loaded = Object.values(require.cache).flatMap((module) => (module === undefined ? [] : [module]));
  const lines = [...names].sort().map((name) => {
    const file = loaded.find(
      ({ id, exports: has }) => /rxjs.dist.cjs.internal/.test(id) && has[name] === rxjs[name],
    );
    const place = /internal.*(?=\.js$)/.exec(file?.id ?? '')?.[0].replaceAll('\\', '/');
    if (rxjs[name] === undefined || place === undefined) throw new Error(`Where in rxjs is ${name}?`);
    return `exports.${name} = require('rxjs/${place}').${name};`;
  });
  return `'use strict';\n${lines.join('\n')}\n`;
}

const narrowRxjs: Plugin = {
  name: 'rxjs in use',
  setup: ({ onResolve }) => onResolve({ filter: /^rxjs$/ }, () => ({ path: '#rxjs', external: true })),
};

/**
 * Each entry of the package imports the main one, which its user has anyhow: what they share then makes one file, not one for each
 * set of entries that share something. Threads and the command begin faster without.
 */
const withMain: Plugin = {
  name: 'entries with the main one',
  setup: ({ onLoad, onResolve }) => {
    const main = resolve(dist, 'index.js');
    onResolve({ filter: /^the main entry$/ }, () => ({ path: main }));
    onLoad({ filter: /\.js$/ }, ({ path }) => {
      if (path === main || !besideMain.has(path)) return undefined;
      return { contents: `import 'the main entry';\n${readFileSync(path, 'utf8')}` };
    });
  },
};

rmSync(dist, { recursive: true, force: true });
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], {
  stdio: 'inherit',
});
writeFileSync(join(dist, 'rxjs.cjs'), rxjsInUse());
const { metafile } = await build({
  entryPoints,
  outdir: dist,
  outbase: dist,
  allowOverwrite: true,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  chunkNames: 'chunks/[hash]',
  plugins: [narrowRxjs, withMain],
  metafile: true,
  logLevel: 'warning',
  logOverride: { 'ignored-bare-import': 'silent' }, // what `withMain` adds has done its part by then
});
const made = new Set(Object.keys(metafile.outputs));
for (const file of filesOf('.js')) if (!made.has(file)) rmSync(file);
