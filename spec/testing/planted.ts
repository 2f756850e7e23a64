import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type * as Main from '../../lib/index.js';
import type * as Testing from '../../lib/testing/index.js';

/** The library with a bug in it. */
export interface Planted {
  readonly main: typeof Main;
  readonly testing: typeof Testing;
}

/** A change of the source: in `file` the text `good`, which must be there once, becomes `bad`. */
export type Plant = readonly [file: string, good: string, bad: string];

/** Copies the library, plants bugs, loads the copy, hands it to `use` and removes it. */
export async function withPlants<T>(
  plants: readonly Plant[],
  use: (copy: Planted) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync('spec/.planted-');
  try {
    cpSync('lib', folder, { recursive: true });
    for (const [file, good, bad] of plants) {
      const path = join(folder, file);
      const text = readFileSync(path, 'utf8');
      const places = text.split(good).length - 1;
      if (places !== 1)
        throw new Error(`lib/${file} has "${good}" ${places} times; plant the bug where it is now`);
      writeFileSync(path, text.replace(good, bad));
    }
    const load = (file: string): Promise<unknown> => import(`../../${folder}/${file}`);
    return await use({
      main: (await load('index.js')) as typeof Main,
      testing: (await load('testing/index.js')) as typeof Testing,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
