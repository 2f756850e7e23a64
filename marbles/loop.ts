import { workflow } from '../lib/index.js';
import { services } from './support/services.js';

interface Draft {
  readonly text: string;
  readonly verdict: string;
}

/** A writer writes and a critic judges, turn by turn, until the critic is content; an editor takes the last text. */
export const polish = workflow({ name: 'polish' });

export const draft = polish.loop('draft', {
  from: { text: '', verdict: 'none' } as Draft,
  until: ({ verdict }) => verdict === 'good',
  max: 4,
  retry: { count: 1, backoff: () => 1_000 },
  run: async (last, { signal }): Promise<Draft> => {
    const text = await services.ask(`Write better than ${last.text}, which is ${last.verdict}`, signal);
    return { text, verdict: await services.ask(`Judge ${text}`, signal) };
  },
});
export const edit = polish.task('edit', { dependencies: { draft }, run: ({ draft }) => draft.text });
