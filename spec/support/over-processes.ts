import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromSources } from './from-sources.js';

/** Runs a program in a process of its own; gives the JSON that it prints. */
export type Life = (...given: readonly string[]) => Record<string, unknown>;

/** Lets `use` run a program in one process after the other, all over one new file for a store, which is their first argument. */
export function overProcesses(program: string, use: (life: Life) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
  const words = [...fromSources, program, join(folder, 'runs.db')];
  try {
    use((...given) => JSON.parse(execFileSync(process.execPath, [...words, ...given], { encoding: 'utf8' })));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
