import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

// `npm run example -- NAME [words]`: runs the example whose name contains NAME, `first` for instance. Where it uses packages of
// others, they are installed first.

const [name = '', ...words] = process.argv.slice(2);
const all = readdirSync('examples').filter((file) => file.endsWith('.ts'));
const file = all.find((one) => one.includes(name));
if (name === '' || file === undefined) {
  console.error(`Which one? npm run example -- NAME, with NAME one of\n  ${all.join('\n  ')}`);
  process.exit(2);
}
const call = (...command: readonly string[]): void => {
  const { status } = spawnSync(process.execPath, command, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
};
if (readFileSync(`examples/${file}`, 'utf8').includes("from 'rxhive")) call('adapters-spec/install.mjs');
call('--import', 'tsx', `examples/${file}`, ...words);
