// Installs the packages that the adapters are for, where that has not been done, and puts rxhive as built from here beside
// them, so that specs and examples use both as a user's project would. `examples/` gets a link to them.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = join(here, '..');
const modules = join(here, 'node_modules');
const call = (command, ...args) =>
  execFileSync(command, args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' });

/** A folder whose packages do not go together with those of the other: this one has zod 3, `openai-agents` zod 4. */
const folders = ['adapters-spec', 'adapters-spec/openai-agents'];
for (const folder of folders) {
  const installed = join(root, folder, 'node_modules', '.package-lock.json');
  const lock = join(root, folder, 'package-lock.json');
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs)
    call('npm', '--prefix', folder, 'ci', '--silent', '--no-audit', '--no-fund', '--ignore-scripts');
}

const own = join(modules, 'rxhive');
rmSync(own, { recursive: true, force: true });
mkdirSync(own, { recursive: true });
cpSync(join(root, 'package.json'), join(own, 'package.json'));
call(
  'node_modules/.bin/tsc',
  '-p',
  'tsconfig.build.json',
  '--outDir',
  'adapters-spec/node_modules/rxhive/dist',
);
// No link: it loads its peers from where it is.
for (const folder of folders.slice(1)) {
  const copy = join(root, folder, 'node_modules', 'rxhive');
  rmSync(copy, { recursive: true, force: true });
  cpSync(own, copy, { recursive: true });
}

const link = join(root, 'examples', 'node_modules');
if (!existsSync(link)) symlinkSync(modules, link, 'junction');
