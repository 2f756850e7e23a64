import { existsSync, readFileSync } from 'node:fs';
import { RxhiveError } from '../kernel/errors.js';

/** The one static page, as the build has made it. @throws RxhiveError INVALID_OPTION where it was not built */
export function readPage(): string {
  // From a checkout the sources run without a build of their own; the page is the one in dist.
  for (const place of ['./page.html', '../../dist/dashboard/page.html']) {
    const file = new URL(place, import.meta.url);
    if (existsSync(file)) return readFileSync(file, 'utf8');
  }
  throw new RxhiveError('INVALID_OPTION', 'The page of the dashboard is not there; run: npm run page.');
}

/** The policy of the page, from its own head: one truth for server and file. */
export function policyOf(page: string): string {
  return /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1] ?? "default-src 'none'";
}
