import { human, typed, workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** A person approves the post within a day, else it is not published; the only slot is free for others meanwhile. */
export const approval = workflow({ name: 'approval', concurrency: 1 });

const draft = approval.task('draft', {
  run: (_, { signal }) => services.ask('Write the post', signal),
});
const approved = approval.task('approve', {
  dependencies: { draft },
  run: ({ draft }, ctx) =>
    ctx.ask(
      human(typed<boolean>(), {
        key: 'publish',
        prompt: 'Publish this?',
        context: draft,
        deadline: 24 * 3_600_000,
        default: false,
      }),
    ),
});
approval.task('translate', {
  dependencies: { draft },
  run: (_, { signal }) => services.ask('Translate the post', signal),
});
export const published = approval.task('publish', {
  dependencies: { approved, draft },
  run: ({ approved, draft }, { signal }) => (approved ? services.call(`publish ${draft}`, signal) : 'kept'),
});
