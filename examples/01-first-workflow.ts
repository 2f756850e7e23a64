// A first workflow: what runs at once, waits, fails and comes back. It prints its own picture: > first-workflow.svg
import { optional, workflow } from '../lib/index.js';
import { fakeAgent, simulate, timelineSvg } from '../lib/testing/index.js';

const model = (seconds: number, failure = 0) => fakeAgent({ duration: seconds * 1000, failure });

const team = workflow({ name: 'research team', groups: { llm: { concurrency: 2 } } });
const papers = team.task('papers', { group: 'llm', run: model(6) });
const web = team.task('web', { group: 'llm', retry: 3, run: model(2, 0.5) });
const forum = team.task('forum', { group: 'llm', timeout: 3000, run: model(60) });
team.task('brief', {
  group: 'llm',
  dependencies: { papers, web, forum: optional(forum) },
  run: model(2),
});

const { picture } = await simulate(team); // virtual time; for real: await team.run().result()
console.log(timelineSvg(picture));
