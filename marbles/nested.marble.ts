import { firstValueFrom, map, NEVER, timer } from 'rxjs';
import { test } from 'uvu';
import { book } from './nested.js';
import { scenario } from './support/scenario.js';
import { services } from './support/services.js';

scenario('nested', 'a chapter that hangs is stopped as a whole, and tried again', { unit: '1s' }, (tools) => {
  const { flow, expectTask, expectTimeline } = tools;
  // The inner workflows run as they are, on the virtual time of the outer one; only the model is replaced.
  let written = 0;
  services.ask = (prompt) => {
    const outlines = prompt.startsWith('Outline');
    if (!outlines) written += 1;
    const answer$ = timer(outlines ? 1_000 : 3_000).pipe(map(() => (outlines ? 'o' : 't')));
    return firstValueFrom(!outlines && written === 2 ? NEVER : answer$);
  };
  flow(book);
  expectTask('bind').toBe('15s (b|)', { b: 't/t/t' });
  expectTimeline().toBe(`
    chapter 1  ====|
    chapter 2  ==========~====|
    chapter 3  ::::====|
    bind       ...............|
  `);
});

test.run();
