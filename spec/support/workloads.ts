import { existsSync } from 'node:fs';

/** Folder of recorded workloads, which are not part of the project. */
export const workloads = process.env.WORKLOADS ?? '../shared/workloads';

/** Where they are; says so and gives undefined where they are not. */
export function workloadsOr(what: string): string | undefined {
  if (existsSync(`${workloads}/index.json`)) return workloads;
  console.log(`skipped: ${what}: no workloads at ${workloads}; set WORKLOADS to their folder`);
  return undefined;
}
