// Two tickets. Each takes the branch of its kind; the draft is read by a workflow of its own, which is a task here; a draft that is
// refused goes to a person; and the workspace is cleared away whatever happens.

import { any, done, failed, typed, workflow } from '../lib/index.js';

const review = workflow({ name: 'review', input: typed<{ draft: string }>() });
const tone = review.task('tone', { run: (_, ctx) => (ctx.input.draft.includes('never') ? 'rude' : 'kind') });
const verdict = review.task('verdict', {
  dependencies: { tone },
  run: ({ tone }) => {
    if (tone === 'rude') throw new Error('too rude to be sent');
    return 'may be sent';
  },
});

const flow = workflow({ name: 'tickets', input: typed<string>() });
const kind = flow.task('kind', { run: (_, ctx) => (ctx.input.includes('?') ? 'question' : 'complaint') });
const answer = flow.task('answer', {
  dependencies: { kind },
  when: ({ kind }) => kind === 'question',
  run: () => 'You find it in the guide.',
});
const apology = flow.task('apology', {
  dependencies: { kind },
  when: ({ kind }) => kind === 'complaint',
  run: () => 'We never do that.',
});
const draft = flow.task('draft', {
  dependencies: { text: any([answer, apology]) },
  run: ({ text }) => text,
});
const reviewed = flow.task('review', {
  workflow: review,
  dependencies: { draft },
  input: ({ draft }) => ({ draft }),
  output: verdict,
});
const sent = flow.task('send', {
  dependencies: { draft, reviewed },
  run: ({ draft }) => console.log(`  sent: ${draft}`),
});
const asked = flow.task('ask a person', {
  dependencies: { error: failed(reviewed) },
  run: () => console.log('  a person writes the answer'),
});
flow.task('clear', {
  always: true,
  dependencies: { sent: done(sent), asked: done(asked) },
  run: () => console.log('  cleared away'),
});

for (const ticket of ['Where is the key?', 'It broke.']) {
  console.log(ticket);
  const result = await flow.run({ input: ticket }).result();
  const skipped = [...result.tasks].filter(([, task]) => task.status === 'skipped').map(([id]) => id);
  console.log(`  ${result.status}; not needed: ${skipped.join(', ')}`);
}
