import { rowStatuses } from '../model/run-row.js';
import type { StoredRun } from '../model/store.js';
import { short } from '../views/text.js';
import { command } from './command.js';
import { flag, oneOf, text, wholeNumber } from './option.js';
import { checkTag, existing, storeWord } from './stored.js';

/** `rxhive runs STORE`: the runs of a store, the one that began last first. */
export const runs = command({
  name: 'runs',
  help: 'lists the runs of a store, the one that began last first',
  words: [storeWord],
  options: {
    status: oneOf(['any', ...rowStatuses], 'only those; running is also one whose process is gone'),
    workflow: text('NAME', 'only those of this workflow'),
    tag: text('NAME=VALUE', 'only those with this tag'),
    after: text('ID', 'those behind this one: the last of the page before'),
    limit: wholeNumber('at most so many; by default 20', 1),
    json: flag('print them as one JSON document'),
  },
  does: async ({ words: [store], values: { status, workflow, tag, after, limit = 20 }, out }) => {
    if (tag !== undefined) checkTag(tag);
    const found = await existing(store).runs({
      ...(status !== 'any' && { status }),
      ...(workflow !== undefined && { workflow }),
      ...(tag !== undefined && { tag }),
      ...(after !== undefined && { after }),
      limit,
    });
    out.answer(
      () => ({ runs: found }),
      () => (found.length === 0 ? 'there are none' : found.map(line).join('\n')),
    );
    return 0;
  },
});

function line(run: StoredRun): string {
  const { runId, status, workflow, startedAt, updatedAt, counts, error } = run;
  const at = new Date(startedAt ?? updatedAt).toISOString();
  const ends = Object.entries(counts ?? {}).flatMap(([name, n]) => (n === 0 ? [] : [`${n} ${name}`]));
  const more = [
    workflow === undefined ? 'of an older version' : short(workflow, 60),
    ...(ends.length > 0 ? [ends.join(', ')] : []),
    ...processOf(run),
    ...(error === undefined ? [] : [short(error, 120)]),
  ];
  return `${short(runId, 60)}  ${status ?? '?'}  ${at}  ${more.join('; ')}`;
}

function processOf({ status, isLeased, owner = '?' }: StoredRun): string[] {
  const where = short(owner, 60);
  if (isLeased === true) return [`in ${where}`];
  return status === 'running' && isLeased === false ? [`its process ${where} is gone`] : [];
}
