import { human, typed, workflow } from '../../lib/index.js';

/** Three workflows, each a task of the next; the innermost asks. A process of `FILE [ANSWER]` runs, or answers and goes on. */
const page = workflow({ name: 'page', input: typed<{ title: string }>(), state: { asked: 0 } });
const draft = page.task('draft', { run: (_, ctx) => `draft of ${ctx.input.title}` });
const approved = page.task('approval', {
  dependencies: { draft },
  run: async ({ draft }, ctx) => {
    ctx.update((state) => {
      state.asked += 1;
    });
    return `${draft}, ${await ctx.ask(human(typed<string>(), `Print "${draft}"?`))}`;
  },
});

const chapter = workflow({ name: 'chapter', input: typed<{ name: string }>() });
const plan = chapter.task('plan', { run: (_, ctx) => `${ctx.input.name} 1` });
const first = chapter.task('first', {
  workflow: page,
  dependencies: { plan },
  input: ({ plan }) => ({ title: plan }),
  output: approved,
});

const book = workflow({ name: 'book', concurrency: 2 });
const one = book.task('one', { workflow: chapter, input: { name: 'bees' }, output: { first, plan } });
book.task('bind', { dependencies: { one }, run: ({ one }) => `${one.plan}: ${one.first}` });

const [file = '', answer] = process.argv.slice(2);
const ran: string[] = [];
const see = (event: { readonly type: string; readonly reason: string; readonly taskId?: string }): void => {
  if (event.type === 'attempt' && event.reason === 'started') ran.push(String(event.taskId));
};
const result =
  answer === undefined
    ? await (() => {
        const run = book.run({ store: file, runId: 'book', suspend: 'exit' });
        run.events$.subscribe(see as never);
        return run.result();
      })()
    : await book.answer(file, 'book', (await book.questions(file, 'book'))[0]?.id ?? '', answer, {
        watch: (run) => run.events$.subscribe(see as never),
      });
const { status, questions, state } = result;
console.log(JSON.stringify({ status, questions, state, ran, bound: result.results.get('bind') }));
