import type { Observable } from 'rxjs';
import type { Controller, TaskContext } from '../lib/index.js';
import { services } from './support/services.js';

const ask = (line: string, { signal }: TaskContext): unknown => services.ask(`Translate: ${line}`, signal);

/** Subtitles as they are spoken: several are translated at once, and shown in the order in which they were said. */
export const subtitles = (
  hive: Controller,
  spoken$: Observable<string>,
  translate = ask,
): Observable<unknown> => spoken$.pipe(hive.mergeMap('translate', translate, { ordered: true, retry: 2 }));
