import { expand, filter, mergeMap, type Observable, of } from 'rxjs';
import { type Controller, controller, type TaskContext } from '../lib/index.js';
import { services } from './support/services.js';

/** A site that is asked for two pages at once. */
export const site = (): Controller<'site'> =>
  controller({ name: 'site', groups: { site: { concurrency: 2 } } });

type Links = Iterable<string>;
const linksOf = (page: string, { signal }: TaskContext): Promise<Links> => services.call(page, signal);

/** All pages that are reached from some, each asked for once: what a page links to is asked for in turn. */
export function reachable(
  hive: Controller<'site'>,
  start$: Observable<string>,
  links: (page: string, ctx: TaskContext) => unknown = linksOf,
): Observable<string> {
  const known = new Set<string>();
  const isNew = (page: string): boolean => known.size < known.add(page).size;
  const read = hive.mergeMap('page', links, { group: 'site', retry: 2 });
  return start$.pipe(
    filter(isNew),
    expand((page) =>
      of(page).pipe(
        read,
        mergeMap((found) => found as Links),
        filter(isNew),
      ),
    ),
  );
}
