import { RxhiveError, truncate } from './errors.js';

/**
 * Loads an optional peer that `who` needs. `install`: what to install. `load`: an import by a literal, where those who
 * build one file of a program are to find the package.
 * Rejects with RxhiveError INVALID_OPTION that says what to install.
 */
export function peer<M>(
  specifier: string,
  who: string,
  install = specifier,
  load: () => Promise<unknown> = () => import(specifier),
): Promise<M> {
  return load().catch((cause: { readonly code?: unknown } | undefined) => {
    const missing = cause?.code === 'ERR_MODULE_NOT_FOUND' || cause?.code === 'MODULE_NOT_FOUND';
    const what = missing ? `: run npm install ${install}` : ', which cannot be loaded; see the cause';
    throw new RxhiveError('INVALID_OPTION', `${who} needs ${truncate(specifier)}${what}.`, { cause });
  }) as Promise<M>;
}
