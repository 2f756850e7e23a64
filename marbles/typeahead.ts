import type { Observable } from 'rxjs';
import type { Controller, TaskContext } from '../lib/index.js';
import { services } from './support/services.js';

const lookUp = (text: string, { signal }: TaskContext): unknown => services.call(text, signal);

/** Suggestions while somebody types: the newest text counts, and the search for the one before is stopped. */
export const suggestions = (
  hive: Controller,
  typed$: Observable<string>,
  search = lookUp,
): Observable<unknown> => typed$.pipe(hive.switchMap('suggest', search, { retry: 2 }));
