import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const pages = 'docs/start';

/**
 * Does what the tutorial says, word for word, in a folder that has rxhive and tsx: saves each program under the name that
 * the page gives it, runs each `npx tsx NAME`, and compares what is printed with what the page shows next.
 * @returns how many commands were run, and what differs
 */
export function followTutorial(folder: string): { commands: number; differences: string[] } {
  const differences: string[] = [];
  let commands = 0;
  for (const page of readdirSync(pages).sort()) {
    const text = readFileSync(join(pages, page), 'utf8');
    for (const [, name = '', code = ''] of text.matchAll(
      /Save this as `([\w.-]+)`:\n\n```ts\n([\s\S]*?)```/g,
    ))
      writeFileSync(join(folder, name), code);
    for (const [, name = '', shown = ''] of text.matchAll(
      /`npx tsx ([\w.-]+)`[^`]*```text\n([\s\S]*?)```/g,
    )) {
      const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', name], {
        cwd: folder,
        encoding: 'utf8',
      });
      commands += 1;
      if (status !== 0 || stdout !== shown)
        differences.push(`${page}: ${name} ended with ${status} and printed\n${stdout}${stderr}`);
    }
  }
  return { commands, differences };
}
