// Two tenants share one controller with two slots. They take turns, an urgent run overtakes both, and a stream that is
// no workflow goes through the same slots.

import { setTimeout as pause } from 'node:timers/promises';
import { from, lastValueFrom, toArray } from 'rxjs';
import { controller, workflow } from '../lib/index.js';

const hive = controller({
  concurrency: 2,
  groups: { llm: { concurrency: 2 } },
  fair: ({ tags }) => tags.tenant ?? '',
});

/** A report of so many chapters, each a call of a model. */
function report(tenant: string, name: string, chapters: number, priority = 0) {
  const flow = workflow({ name, controller: hive });
  for (let chapter = 1; chapter <= chapters; chapter++)
    flow.task(`${name} ${chapter}`, {
      group: 'llm',
      run: async (_, ctx) => {
        console.log(`${tenant}: ${name} ${chapter} starts`);
        await pause(20, undefined, { signal: ctx.signal });
      },
    });
  return flow.run({ tags: { tenant }, priority }).result();
}

const results = [report('acme', 'annual report', 6), report('globex', 'memo', 3)];
console.log(hive.explain('memo 3'));
results.push(report('acme', 'alert', 1, 5));
for (const { status, report } of await Promise.all(results)) console.log(`${report.workflow}: ${status}`);

let calls = 0;
const translate = async (word: string): Promise<string> => {
  calls += 1;
  if (calls === 2) throw Object.assign(new Error('busy'), { status: 503 });
  await pause(word === 'bee' ? 30 : 10);
  return word.toUpperCase();
};
const words = await lastValueFrom(
  from(['bee', 'hive', 'honey', 'wax']).pipe(
    hive.mergeMap('translate', translate, { group: 'llm', retry: 2, ordered: true }),
    toArray(),
  ),
);
console.log(`${words.join(', ')}: ${calls} calls, of which one was refused`);
