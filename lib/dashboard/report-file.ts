import { readPage } from './page-file.js';

/**
 * The page with the events of a run in it: one HTML file that opens from a disk, without a server or network.
 * `log` and `other`, a run to compare with, are lines as `eventLines` makes them.
 * @throws RxhiveError INVALID_OPTION where the page was not built
 */
export function htmlReport(log: string, other = ''): string {
  return readPage()
    .replace('id="log"></script>', () => `id="log">${inScript(log)}</script>`)
    .replace('id="other-log"></script>', () => `id="other-log">${inScript(other)}</script>`);
}

/** JSON may hold anything; within a script element no "<" may stand, or it could end it. */
function inScript(json: string): string {
  return json.replaceAll('<', '\\u003c');
}
