import { replay as play } from '../replay/replay.js';
import { changesOf } from './changes.js';
import { command } from './command.js';
import { flag, list } from './option.js';
import { fromLog } from './read-log.js';

/** `rxhive replay LOG`: what another limit or priority would have changed. */
export const replay = command({
  name: 'replay',
  help: 'shows what another limit or priority would have changed in a recorded run',
  words: [{ name: 'LOG', missing: 'give a log that rxhive run --log has written' }],
  options: {
    set: list('CHANGE', 'concurrency=N, GROUP.concurrency=N or TASK.priority=N; may be given several times'),
    json: flag('print it as one JSON document'),
  },
  does: async ({ words: [file], values, out }) => {
    const changes = changesOf(values.set);
    const { recorded, replayed, unchanged, saved, refused, summary } = await fromLog(file, (log) =>
      play(log.text, changes),
    );
    out.answer(
      () => ({ recorded, replayed, unchanged, saved, refused, changes, summary }),
      () => summary,
    );
    return 0;
  },
});
