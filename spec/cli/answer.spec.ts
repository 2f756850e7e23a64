import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { answerFrom, interview } from '../../lib/cli/answer.js';
import { type RunQuestion, toldQuestion } from '../../lib/cli/open-questions.js';
import { human, memory, workflow } from '../../lib/index.js';
import { escapeControl } from '../../lib/kernel/escape-control.js';
import { sqlite } from '../../lib/stores/sqlite.js';
import { called } from '../support/called.js';
import { fromSources } from '../support/from-sources.js';

const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

function command(...words: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [...fromSources, 'lib/cli/main.ts', ...words], {
    encoding: 'utf8',
    timeout: 60_000,
  });
}

const from = (path: string): string => JSON.stringify(resolve(path));
const hostile = 'Print \u001b[31mthis\u001b[0m?\nNow\u009b2J \u202eor never';
const module = join(folder, 'post.mts');
writeFileSync(
  module,
  `import { AgentTask, human, WorkflowOrchestrator, workflow } from ${from('lib/index.ts')};
import { z } from ${JSON.stringify(import.meta.resolve('zod'))};
const flow = workflow({ name: 'post' });
const draft = flow.task('draft', { run: () => 'Bees are busy.' });
const ok = flow.task('review', { dependencies: { draft }, run: ({ draft }, ctx) => ctx.ask(human(
  z.object({ ok: z.boolean() }), { prompt: ${JSON.stringify(hostile)}, context: { draft }, deadline: 3_600_000, default: { ok: false } })) });
const title = flow.task('title', { dependencies: { draft }, run: (_, ctx) => ctx.ask(human(z.string().max(9), 'Title?')) });
flow.task('print', { dependencies: { ok, title }, run: ({ ok, title }) => (ok.ok ? 'printed ' + title : 'left') });
export const orchestrator = new WorkflowOrchestrator({ agents: { ask: (_, ctx) => ctx.ask(human(z.boolean(), 'Go on?')) } });
orchestrator.addTask(new AgentTask({ id: 'only', agentType: 'ask' }));
export default flow;
`,
);
const agents = join(folder, 'agents.mts');
writeFileSync(agents, `export { orchestrator as default } from './post.mts';\n`);
const isHarmless = (text: string): void => assert.is(text, escapeControl(text));

/** Calls the command in this process; what it prints, and its exit code. */
async function here(...words: string[]): Promise<{ out: string; code: number }> {
  const { code, stdout, stderr } = await called('answer', ...words);
  return { out: `${stdout}${stderr}`.trimEnd(), code };
}

test('what a run asks is listed with its context; answers go on with it, are refused clearly, count once', async () => {
  const [store, log] = [join(folder, 'runs.db'), join(folder, 'run.jsonl')];
  const first = command('run', module, '--store', store, '--run', 'one', '--log', log, '--quiet');
  assert.is(first.status, 3);
  assert.match(first.stderr, `to go on: rxhive answer ${store} --run one\n`);
  isHarmless(first.stdout);

  for (const file of [store, log]) {
    const { out, code } = await here(file);
    assert.is(code, 0);
    assert.match(out, /^review\?1\n {2}task review of run one, asked .* ago, \d+ min .* left\n/);
    assert.match(out, '  Print \\u001b[31mthis\\u001b[0m?\n  Now\\u009b2J \\u202eor never\n');
    assert.match(out, '"draft": "Bees are busy."');
    assert.match(out, 'answer: {"type":"object","properties":{"ok":{"type":"boolean"}}');
    assert.match(out, /^title\?1\n {2}task title of run one, asked/m);
    assert.is(out.includes(`rxhive answer ${store} 'review?1' VALUE`), file === store);
    const { out: json } = await here(file, '--json');
    isHarmless(json);
    const { questions } = JSON.parse(json) as { questions: RunQuestion[] };
    assert.equal(
      questions.map(({ id, run, taskId, prompt }) => [id, run, taskId, prompt]),
      [
        ['review?1', 'one', 'review', hostile],
        ['title?1', 'one', 'title', 'Title?'],
      ],
    );
    assert.equal(questions[0]?.context, { draft: 'Bees are busy.' });
    const left = (questions[0]?.deadline ?? 0) - (questions[0]?.askedAt ?? 0);
    assert.ok(left > 3_500_000 && left <= 3_600_000, String(left));
  }

  const refused = await here(store, 'review?1', 'fine', '--quiet');
  assert.is(refused.code, 1);
  assert.match(refused.out, /does not fit its schema at the value itself.*still open: answer again/);
  assert.match(refused.out, /expected object, received string/);
  const told = JSON.parse((await here(store, 'review?1', '{"ok":1}', '--quiet', '--json')).out);
  assert.is(told.error.code, 'ANSWER_REFUSED');
  assert.is(told.error.issues[0].path, 'ok');
  assert.is(JSON.parse((await here(store, '--json')).out).questions.length, 2);

  const accepted = await here(store, 'review?1', '{"ok":true}', '--quiet', '--json');
  assert.is(accepted.code, 3); // it waits for the other one
  const { status, questions } = JSON.parse(accepted.out);
  assert.equal([status, questions.length, questions[0].id], ['suspended', 1, 'title?1']);
  assert.is((await here(store, 'review?1', '{"ok":true}', '--quiet')).code, 3);
  const changed = await here(store, 'review?1', '{"ok":false}', '--quiet');
  assert.is(changed.code, 1);
  assert.match(changed.out, 'was answered already, and not with this');

  // A text is wanted: 42 is one.
  const last = command('answer', store, 'title?1', '42', '--quiet', '--json');
  assert.is(last.status, 0, last.stderr);
  assert.is(JSON.parse(last.stdout).status, 'succeeded');
  assert.is((await here(store, 'title?1', '42', '--quiet')).code, 0);
  const past = await workflow({ name: 'post' }).history(store, 'one');
  assert.is(past.snapshotAt(past.last).results.get('print'), 'printed 42');
  assert.is((await here(store)).out, 'Nothing waits for people.');
});

test('an orchestrator goes on too; with several runs the one that asks is named', async () => {
  const store = join(folder, 'agents.db');
  for (const run of ['a', 'b'])
    assert.is(command('run', agents, '--store', store, '--run', run, '--quiet').status, 3);
  const { code, out } = await here(store, 'only?1', 'true');
  assert.is(code, 2);
  assert.match(out, /several runs ask only\?1: .*; say --run/);
  assert.is((await here(store, 'only?1', 'true', '--run', 'a', '--quiet')).code, 0);
  // Not the other run's, though that alone is open now.
  assert.is((await here(store, 'only?1', 'true')).code, 2);
  assert.match((await here(store, '--run', 'a')).out, 'Nothing waits');
  assert.match((await here(store)).out, 'of run b');
});

test('a wrong call says what to do, and changes nothing', async () => {
  const [store, log] = [join(folder, 'wrong.db'), join(folder, 'wrong.jsonl')];
  assert.is(command('run', module, '--store', store, '--run', 'one', '--log', log, '--quiet').status, 3);
  const wrong: [string[], RegExp][] = [
    [[], /give the store that rxhive run MODULE --store has written, or a log/],
    [[join(folder, 'none.db')], /cannot read .*none\.db/],
    [[module], /cannot read .*post\.mts/],
    [[log, 'review?1', 'true'], /only tells what has happened; answer in the store/],
    [[store, 'none', 'true'], /there is no question none in .*; open: review\?1, title\?1/],
    [[store, 'review?1'], /give the answer too: rxhive answer .* 'review\?1' VALUE/],
    [[store, 'review?1', 'x', '--run', 'two'], /there is no run two/],
    [[store, 'review?1', 'x', '--module', 'nothing.ts'], /cannot load nothing\.ts/],
  ];
  for (const [words, message] of wrong) {
    const { code, out } = await here(...words);
    assert.is(code, 2, words.join(' '));
    assert.match(out, message);
    assert.not.match(out, '\n');
  }
  const elsewhere = sqlite(store);
  const lease = elsewhere.open('one');
  const leased = await here(store, 'review?1', '{"ok":true}', '--quiet', '--json');
  assert.is(leased.code, 1);
  assert.is(JSON.parse(leased.out).error.code, 'RUN_LEASED');
  lease.close();
  elsewhere.close();
  const past = await workflow({ name: 'post' }).history(store, 'one');
  assert.is(past.questions().length, 2);
});

test('on a terminal it asks one after the other, again after a refusal, and leaves open what gets no answer', async () => {
  const store = memory();
  const flow = workflow({ name: 'talk' });
  const first = flow.task('first', { run: (_, ctx) => ctx.ask(human(z.number(), 'How many?')) });
  flow.task('then', {
    dependencies: { first },
    run: ({ first }, ctx) => ctx.ask(human(z.string(), `What with ${first}?`)),
  });
  flow.task('other', { run: (_, ctx) => ctx.ask(human(z.boolean(), 'Later?')) });
  await flow.run({ store, runId: 'r', suspend: 'exit' }).result();
  const said: string[] = [];
  const lines = ['', 'two', '2', '2'];
  const code = await interview({
    open: async () => {
      const open = (await flow.history(store, 'r')).questions().map((one) => ({ run: 'r', ...one }));
      return open.sort((a, b) => (a.prompt < b.prompt ? 1 : -1));
    },
    say: (line) => said.push(line),
    ask: async () => lines.shift() ?? Promise.reject(new Error('closed')),
    give: (question, value) =>
      flow.answer(store, 'r', question.id, value).then(
        () => 0,
        (error: Error) => {
          said.push(error.message);
          return 1;
        },
      ),
  });
  assert.is(code, 0);
  assert.equal(lines, []);
  assert.equal(
    said.map((line) => line.split('\n').find((one) => one.endsWith('?')) ?? line.slice(0, 10)),
    ['  Later?', '  How many?', 'The answer', '  How many?', '  What with 2?'],
  );
  const past = await flow.history(store, 'r');
  assert.equal(
    [...past.snapshotAt(past.last).results],
    [
      ['first', 2],
      ['then', '2'],
    ],
  );
});

test('an answer is JSON where it is that, else text', () => {
  assert.equal(answerFrom('{"ok":true}'), { ok: true });
  assert.is(answerFrom('yes, do'), 'yes, do');
  assert.is(answerFrom('42', { type: 'string' }), '42');
  assert.is(answerFrom('"42"', { type: 'string' }), '42');
  assert.is(answerFrom('42'), 42);
});

test('whatever a question says, its lines are not longer than can be shown', () => {
  const long = 'x'.repeat(100_000);
  const question = {
    run: long,
    id: long,
    taskId: long,
    prompt: long,
    context: { long },
    askedAt: 0,
    deadline: 5,
  };
  const text = toldQuestion(question, 10);
  assert.ok(text.length < 12_000, String(text.length));
  assert.match(text, 'its deadline passed 5 ms ago');
});

test.run();
