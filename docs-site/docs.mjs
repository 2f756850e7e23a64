// The site: `npm run docs` builds it into docs-site/dist, `npm run docs -- dev` serves it while pages are written,
// `npm run docs -- preview` serves what was built, both on the loopback address only. `npm run docs -- check` builds and checks it.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { linkedFiles, root, siteAddress, sourcePage } from './pages.ts';
import { entries } from './reference.mjs';

const here = join(root, 'docs-site');
function call(command, ...args) {
  const { status } = spawnSync(command, args, {
    cwd: here,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (status !== 0) process.exit(status ?? 1);
}

const [verb = 'build', ...rest] = process.argv.slice(2);
if (!['build', 'check', 'dev', 'preview'].includes(verb)) {
  console.error(`Unknown: ${verb}. Use \`npm run docs\`, or add -- check, -- dev or -- preview.`);
  process.exit(2);
}

const installed = join(here, 'node_modules', '.package-lock.json');
if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(join(here, 'package-lock.json')).mtimeMs)
  call('npm', 'ci', '--silent', '--no-audit', '--no-fund', '--ignore-scripts');

if (verb !== 'preview') {
  const reference = join(root, 'docs', 'reference');
  rmSync(reference, { recursive: true, force: true });
  call('node_modules/.bin/typedoc', '--options', 'reference.mjs', '--logLevel', 'Warn');
  const list = entries().map(({ name, about }) => `| [\`${name}\`](${name}/README.md) | ${about} |`);
  writeFileSync(
    join(reference, 'README.md'),
    `# API reference\n\nWhat each entry point of the package exports.\n\n| Import from | For |\n|---|---|\n${list.join('\n')}\n`,
  );
  for (const file of linkedFiles()) {
    const page = join(root, 'docs', `${siteAddress(file)}.md`);
    mkdirSync(dirname(page), { recursive: true });
    writeFileSync(page, sourcePage(file));
  }
}
const flags = verb === 'build' || verb === 'check' ? [] : ['--host', '127.0.0.1'];
call('node_modules/.bin/vitepress', verb === 'check' ? 'build' : verb, '.', ...flags, ...rest);
if (verb === 'check') await import('./check.ts');
