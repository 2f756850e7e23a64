/** Options of `node` for a process that runs TypeScript from the sources, as the runner does. */
export const fromSources = ['--import', new URL('../loader.mjs', import.meta.url).href] as const;
