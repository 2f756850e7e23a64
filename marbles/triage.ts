import { any, failed, workflow } from '../lib/index.js';
import { services } from './support/services.js';

/**
 * A ticket goes to the branch that its kind needs, and one answer is sent whichever branch it took. Where sending fails, a
 * person is told.
 */
export const triage = workflow({ name: 'triage' });

const kind = triage.task('classify', { run: (_, { signal }) => services.call('classify', signal) });

const fix = triage.task('fix', {
  dependencies: { kind },
  when: ({ kind }) => kind === 'bug',
  run: (_, { signal }) => services.call('fix', signal),
});

const quote = triage.task('quote', {
  dependencies: { kind },
  when: ({ kind }) => kind === 'wish',
  run: (_, { signal }) => services.call('quote', signal),
});

const send = triage.task('send', {
  dependencies: { answer: any([fix, quote]) },
  run: ({ answer }, { signal }) => services.call(`send ${answer}`, signal),
});

triage.task('tell a person', {
  dependencies: { error: failed(send) },
  run: ({ error }, { signal }) => services.call(`say that ${String(error)}`, signal),
});
