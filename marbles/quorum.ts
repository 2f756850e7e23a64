import { quorum, workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** Five models review, three answers are enough; the two slowest are stopped and not waited for. */
export const review = workflow({ name: 'review', retry: { count: 1, backoff: () => 500 } });

const reviews = [1, 2, 3, 4, 5].map((n) =>
  review.task(`model ${n}`, {
    type: 'review',
    run: (_, { signal }) => services.ask('Is this change safe? yes or no', signal),
  }),
);
export const decision = review.task('decision', {
  dependencies: { votes: quorum(3, reviews) },
  run: ({ votes }) => (votes.filter((vote) => vote === 'yes').length >= 2 ? 'merge' : 'hold'),
});
