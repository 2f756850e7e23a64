// The site: `npm run docs` builds it into docs-site/dist, `npm run docs -- dev` serves it while pages are written,
// `npm run docs -- preview` serves what was built. Both on the loopback address only.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { linkedFiles, root, siteAddress, sourcePage } from './pages.mjs';
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
if (!['build', 'dev', 'preview'].includes(verb)) {
  console.error(`Unknown: ${verb}. Use \`npm run docs\`, or add -- dev or -- preview.`);
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
call('node_modules/.bin/vitepress', verb, '.', ...(verb === 'build' ? [] : ['--host', '127.0.0.1']), ...rest);
