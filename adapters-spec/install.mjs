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

const installed = join(modules, '.package-lock.json');
const lock = join(here, 'package-lock.json');
if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs)
  call('npm', '--prefix', 'adapters-spec', 'ci', '--silent', '--no-audit', '--no-fund', '--ignore-scripts');

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

const link = join(root, 'examples', 'node_modules');
if (!existsSync(link)) symlinkSync(modules, link, 'junction');
