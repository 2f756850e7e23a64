import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { called } from '../support/called.js';

const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);
const keep = (name: string, text: string): string => {
  writeFileSync(at(name), text);
  return at(name);
};

const index = JSON.stringify(resolve('lib/index.ts'));
const zod = JSON.stringify(import.meta.resolve('zod'));
const flow = (name: string, tasks: string): string =>
  keep(
    `${name}.mts`,
    `import { AgentTask, human, WorkflowOrchestrator, workflow } from ${index};
import { z } from ${zod};
${tasks}`,
  );

const add = flow(
  'add',
  `const flow = workflow({ name: 'add', input: z.object({ n: z.number() }), groups: { llm: { concurrency: 2 } } });
const one = flow.task('one', { group: 'llm', run: (_, ctx) => ctx.input.n + 1 });
flow.task('two', { dependencies: { one }, run: ({ one }) => one + 1 });
export default flow;`,
);
const plain = flow(
  'plain',
  `const flow = workflow({ name: 'plain' });
flow.task('only', { run: () => 1 });
export default flow;`,
);
const half = flow(
  'half',
  `const flow = workflow({ name: 'half' });
flow.task('good', { run: () => 1 });
flow.task('bad', { run: () => { throw new Error('no honey'); } });
export default flow;`,
);
const ask = flow(
  'ask',
  `const flow = workflow({ name: 'ask' });
const review = flow.task('review', { run: (_, ctx) => ctx.ask(human(z.boolean(), { prompt: 'Publish?', context: 'Bees' })) });
flow.task('publish', { dependencies: { review }, run: ({ review }) => review });
export default flow;`,
);
const circle = flow(
  'circle',
  `const flow = workflow({ name: 'circle' });
flow.task('a', { group: 'none', run: () => 1 });
export default flow;`,
);
const agents = flow(
  'agents',
  `const orchestrator = new WorkflowOrchestrator({ agents: { say: () => 'hi' } });
orchestrator.addTask(new AgentTask({ id: 'a', agentType: 'say' }));
export default orchestrator;`,
);
const named = flow('named', `export const lost = workflow({ name: 'lost' });\nexport default 7;`);
const broken = keep('broken.mts', `throw new Error('cannot begin\\nsecond line');`);
const workload = keep(
  'workload.json',
  JSON.stringify({ name: 'w', tasks: [{ id: 'a', seconds: 1, deps: [] }] }),
);
const notJson = keep('not.json', '{');
const input = keep('input.json', '{"n":5}');
const [store, log, asked, askedLog] = [at('runs.db'), at('run.jsonl'), at('asked.db'), at('asked.jsonl')];
const damaged = keep(
  'damaged.jsonl',
  '{"seq":1,"at":0,"runId":"r","type":"run","reason":"started"}\nnonsense\n{}\n',
);
const empty = keep('empty.jsonl', '');
const none = at('none');
mkdirSync(at('folder'));

type Text = RegExp | '';
/** A call, its exit code, and what stands on stdout and stderr; where there is no text, nothing at all. */
type Row = readonly [words: string, code: number, stdout: Text, stderr: Text];

/** Files by short names, so that a row can be read. */
const files: Readonly<Record<string, string>> = {
  add,
  plain,
  half,
  ask,
  circle,
  agents,
  named,
  broken,
  workload,
  notJson,
  input,
  store,
  log,
  asked,
  askedLog,
  damaged,
  empty,
  none,
  folder: at('folder'),
  html: at('out.html'),
};

const verbs = [
  'run',
  'resume',
  'runs',
  'fork',
  'answer',
  'check',
  'graph',
  'dashboard',
  'report',
  'inspect',
  'replay',
  'simulate',
  'mcp',
  'worker',
];
const helps = verbs.flatMap((verb): Row[] => [
  [`${verb} --help`, 0, new RegExp(`^rxhive ${verb} .*\\n(.*\\n)*Options\\n(.*\\n)*Exit codes`), ''],
  [`${verb} --nothing`, 2, '', /unknown option --nothing; rxhive \w+ --help lists what it takes/],
]);

const rows: readonly Row[] = [
  ['', 2, '', /give a command: one of run, resume/],
  ['walk', 2, '', /unknown command walk: one of run,/],
  ['--wrong', 2, '', /unknown command --wrong/],
  ['help', 0, /rxhive run MODULE.*\n[\s\S]*130 {2}cancelled/, ''],
  ['--help', 0, /rxhive VERB/, ''],
  ['-h', 0, /rxhive VERB/, ''],
  ['help fork', 0, /^rxhive fork STORE/, ''],
  ['help walk', 2, '', /unknown command walk/],
  ['help fork run', 2, '', /no use for "run"/],
  ['--version', 0, /^\d+\.\d+\.\d+\S*$/, ''],
  ...helps,

  ['run', 2, '', /give the module to load/],
  ['run add half', 2, '', /no use for ".*half\.mts"; rxhive run --help/],
  ['run none', 2, '', /cannot load .*none: there is no such file/],
  ['run folder', 2, '', /cannot load .*folder: it is a folder/],
  ['run broken', 2, '', /cannot load .*broken\.mts: cannot begin$/],
  ['run named', 2, '', /named\.mts has no default export .*it exports lost: add export default lost/],
  ['run circle', 1, '', /Workflow "circle" has 1 fault; nothing was started:\n {2}- .*none/],
  ['run plain', 0, /^plain: succeeded in .*\ntasks: 1 succeeded/, /plain {2}running[\s\S]*✓ only succeeded/],
  ['run plain --quiet', 0, /^plain: succeeded/, ''],
  ['run plain --quiet --json', 0, /^\{"status":"succeeded",/, ''],
  ['run half --quiet', 1, /^half: partial[\s\S]*no honey/, ''],
  ['run half --quiet --json', 1, /^\{"status":"partial".*"message":"no honey"/, ''],
  ['run agents --quiet', 0, /^orchestrator: succeeded/, ''],
  ['run agents --input {}', 2, '', /an orchestrator has no input/],
  ['run add --quiet', 2, '', /The input does not fit its schema/],
  ['run add --input', 2, '', /--input needs a value: --input JSON\|@FILE/],
  ['run add --input {', 2, '', /--input is no JSON: /],
  ['run add --input @none', 2, '', /cannot read .*none: there is no such file/],
  ['run add --input @notJson', 2, '', /--input @.*not\.json is no JSON/],
  ['run add --input {"n":"x"}', 2, '', /does not fit its schema at n/],
  ['run add --input {"n":1} --input {"n":2}', 2, '', /--input is given twice/],
  [
    'run add --input @input --quiet --store store --run one --log log',
    0,
    /^add: succeeded/,
    /^run one in .*runs\.db$/,
  ],
  ['run add --quiet --json=yes', 2, '', /--json takes no value, but got yes/],
  ['run add --stor x', 2, '', /unknown option --stor, did you mean --store\?/],
  ['run add --store --quiet', 2, '', /--store needs a value/],
  ['run add --store none/runs.db', 2, '', /--store .*none\/runs\.db: there is no such folder/],
  ['run add --store folder', 2, '', /--store .*folder: it is a folder/],
  [
    'run plain --quiet --log none/run.jsonl',
    2,
    '',
    /cannot write .*none\/run\.jsonl: there is no such folder/,
  ],
  ['resume folder', 2, '', /folder is a folder/],
  ['answer folder', 2, '', /cannot read .*folder: it is a folder/],
  ['run add --run two', 2, '', /give --store too/],
  ['run plain --port 70000', 2, '', /--port 70000: give a whole number from 0 to 65535/],
  ['run plain --quiet --log folder', 2, '', /cannot write .*folder: it is a folder/],
  [
    'run ask --quiet',
    3,
    /waits for an answer to "review\?1": Publish\?/,
    /Publish\?[\s\S]*context: Bees[\s\S]*--store FILE/,
  ],
  ['run ask --quiet --json', 3, /^\{"status":"suspended".*"questions":\[\{"id":"review\?1"/, ''],
  [
    'run ask --quiet --store asked --run q --log askedLog',
    3,
    /^ask: suspended/,
    /to go on: rxhive answer \S*asked\.db 'review\?1' VALUE --run q/,
  ],
  ['run none --json', 2, /^\{"error":\{"code":"WRONG_CALL","message":"cannot load /, ''],
  ['run --json --nothing', 2, /^\{"error":\{"code":"WRONG_CALL",/, ''],

  ['resume', 2, '', /give the store that rxhive run MODULE --store has written/],
  ['resume none', 2, '', /there is no .*none/],
  ['resume log', 2, '', /is no store of checkpoints/],
  ['resume store', 0, /^add: succeeded[\s\S]*2 restored/, /running/],
  ['resume store --quiet --input {"n":5}', 0, /2 restored/, ''],
  ['resume store --quiet --input {"n":6}', 2, '', /input/],
  ['resume store --run three', 2, '', /no run "three" in the store; the newest are "one"/],
  ['resume store --module none', 2, '', /cannot load .*none/],
  ['resume asked --quiet', 3, /^ask: suspended/, /to go on: rxhive answer/],

  ['fork store --at x', 2, '', /--at x: give a whole number from 1/],
  ['fork store --at 99 --quiet', 2, '', /--at 99: run one has records 1 to \d+/],
  ['fork store --state {', 2, '', /--state is no JSON/],
  ['fork store --set llm.concurrency', 2, '', /--set llm\.concurrency: give concurrency=N/],
  ['fork store --set one.priority=2', 2, '', /a fork can have other limits only/],
  ['fork store --at 1 --as two --input {"n":9} --quiet', 0, /^add: succeeded/, /^run two, a fork of one$/],

  ['runs', 2, '', /give the store/],
  ['runs none', 2, '', /none/],
  ['runs asked', 0, /^q {2}suspended {2}\d{4}-\d\d-\d\dT\S+ {2}ask; .*1 suspended/, ''],
  ['runs asked --status failed', 0, /^there are none$/, ''],
  ['runs asked --workflow=ask --limit 1 --json', 0, /^\{"runs":\[\{.*"isLeased":false/, ''],
  ['runs asked --tag x', 2, '', /--tag x: give a name and a value/],
  ['answer', 2, '', /give the store .*or a log to read/],
  ['answer none', 2, '', /cannot read .*none: there is no such file/],
  ['answer damaged', 2, '', /cannot read .*damaged\.jsonl: Line 2 is no event/],
  ['answer askedLog', 0, /^review\?1\n {2}task review of run q/, ''],
  ['answer asked', 0, /^review\?1\n[\s\S]*rxhive answer \S*asked\.db 'review\?1' VALUE/, ''],
  ['answer asked --json', 0, /^\{"questions":\[\{"run":"q"/, ''],
  ['answer asked review?1', 2, '', /give the answer too/],
  ['answer asked other?1 true', 2, '', /there is no question other\?1 .*open: review\?1/],
  ['answer asked review?1 maybe --quiet', 1, '', /does not fit its schema[\s\S]*expected boolean/],
  ['answer asked review?1 maybe --quiet --json', 1, /^\{"error":\{"code":"ANSWER_REFUSED".*"issues":\[/, ''],
  ['answer asked review?1 true --quiet', 0, /^ask: succeeded/, ''],
  ['answer asked review?1 false --quiet', 1, '', /was answered already/],
  ['answer asked', 0, /^Nothing waits for people\.$/, ''],

  ['check', 2, '', /give the module to check/],
  ['check none', 2, '', /cannot load .*none/],
  ['check plain', 0, '', ''],
  ['check circle', 1, /none/, ''],
  ['check circle --json', 1, /^\{"findings":\[\{/, ''],

  ['graph', 2, '', /give a module or a log/],
  ['graph none', 2, '', /cannot load .*none/],
  ['graph none.jsonl', 2, '', /cannot read none\.jsonl: there is no such file/],
  ['graph damaged', 2, '', /damaged\.jsonl: Line 2 is no event/],
  ['graph add', 0, /^flowchart LR/, ''],
  ['graph log --format dot', 0, /^digraph/, ''],
  ['graph add --format svg', 0, /^<svg/, ''],
  ['graph add --format png', 2, '', /unknown format png; use mermaid, dot or svg/],
  ['graph add --json', 2, /^\{"error":/, ''],

  ['dashboard none', 2, '', /cannot read .*none: there is no such file/],
  ['dashboard log --port x', 2, '', /--port x: give a whole number/],

  ['report', 2, '', /give the log to read/],
  ['report log', 2, '', /give the file to write/],
  ['report none --markdown html', 2, '', /cannot read .*none: there is no such file/],
  ['report damaged --markdown html', 2, '', /Line 2 is no event/],
  ['report log --compare log --markdown html', 2, '', /--compare needs --html FILE/],
  ['report log --markdown folder', 2, '', /cannot write .*folder: it is a folder/],
  ['report log --markdown html', 0, /out\.html$/, ''],

  ['inspect', 2, '', /give the log to read/],
  ['inspect none', 2, '', /cannot read .*none/],
  ['inspect damaged', 2, '', /Line 2 is no event/],
  ['inspect empty', 2, '', /empty\.jsonl: it holds no events/],
  ['inspect log', 0, /^add one: succeeded/, ''],
  ['inspect log --json', 0, /^\{"runId":"one"/, ''],
  ['inspect log --task on', 2, '', /there is no task on in .*; there is one/],
  ['inspect log --task one', 0, /✓ one: succeeded/, ''],

  ['replay', 2, '', /give a log/],
  ['replay none', 2, '', /cannot read .*none/],
  ['replay damaged', 2, '', /Line 2 is no event/],
  ['replay log --set llm=1', 2, '', /--set llm=1: give concurrency=N/],
  ['replay log --set llm.concurrency=1', 0, /./, ''],
  ['replay log --json', 0, /^\{"recorded":/, ''],

  ['simulate', 2, '', /give one workload/],
  ['simulate workload', 2, '', /--slots is missing/],
  ['simulate workload --slots 0', 2, '', /--slots 0: give a whole number from 1/],
  ['simulate notJson --slots 1', 2, '', /is not JSON/],
  ['simulate workload --slots 1 --policy lifo', 2, '', /unknown policy lifo/],
  ['simulate workload --slots 1', 0, /^w: 1 tasks, 1 slots/, ''],

  ['mcp', 2, '', /give the module to load/],
  ['worker', 2, '', /give the module to load/],
];

test(`a table of ${rows.length} calls: exit code, stdout and stderr`, async () => {
  const wrong: string[] = [];
  for (const [text, code, stdout, stderr] of rows) {
    const words = text.split(' ').filter((word) => word !== '');
    const given = words.map((word, i) => {
      if (i === 0) return word;
      const [name = ''] = word.replace('@', '').split('/');
      return Object.hasOwn(files, name) ? word.replace(name, files[name] as string) : word;
    });
    const found = await called(...given);
    const fits = (wanted: Text, text: string): boolean =>
      wanted === '' ? text === '' : wanted.test(text.replace(/\n$/, ''));
    if (found.code !== code || !fits(stdout, found.stdout) || !fits(stderr, found.stderr))
      wrong.push(`${text}: ${JSON.stringify(found)}`);
    if (/\n +at |node:internal/.test(found.stderr)) wrong.push(`${text}: a stack`);
    if (words.includes('--json')) {
      const lines = found.stdout.split('\n');
      if (lines.length !== 2 || typeof JSON.parse(lines[0] as string) !== 'object')
        wrong.push(`${text}: not one document`);
    }
    if (code === 2 && stdout === '' && found.stderr.split('\n').length !== 2)
      wrong.push(`${text}: not one line`);
  }
  assert.equal(wrong, []);
});

test('the page of the command has the help of each verb', async () => {
  const page = readFileSync('docs/guides/command.md', 'utf8');
  for (const verb of verbs) {
    const [help] = (await called('help', verb)).stdout.split('\n\nExit codes');
    assert.ok(page.includes(`\`\`\`text\n${help}\n\`\`\``), `${verb}: ${help}`);
  }
});

const rich = flow(
  'rich',
  `const flow = workflow({ name: 'rich', state: { n: 0 }, groups: { llm: { concurrency: 1, budget: { calls: 9 } } } });
const a = flow.task('a', { group: 'llm', run: async function* (_, ctx) {
  ctx.log('hello', { n: 1 });
  ctx.usage({ model: 'm', inputTokens: 1 });
  ctx.update((state) => { state.n += 1; });
  yield 'x';
} });
flow.task('b', { retry: 1, dependencies: { a }, run: () => { throw new Error('no honey'); } });
flow.task('c', { dependencies: { a }, run: (_, ctx) => ctx.ask(human(z.boolean(), { prompt: 'Go?', context: { n: 1 } })) });
export default flow;`,
);

test('a log with anything in the place of a field is read, or refused in one line that names the file', async () => {
  const whole = at('rich.jsonl');
  assert.is((await called('run', rich, '--quiet', '--log', whole)).code, 3);
  const lines = readFileSync(whole, 'utf8').trim().split('\n');
  const places = lines.flatMap((line, i) => pathsOf(JSON.parse(line)).map((path) => ({ i, path })));
  const [file, other] = [at('changed.jsonl'), at('other')];
  const verbs = ['inspect', 'inspect --task c', 'inspect --json', 'graph', 'answer', 'replay'];
  const reports = ['--trace', '--markdown', '--marbles'].map((kind) => `report ${kind} ${other}`);
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...places),
      fc.jsonValue(),
      fc.boolean(),
      async ({ i, path }, value, gone) => {
        const event = JSON.parse(lines[i] as string);
        const parent = path.slice(0, -1).reduce((inner, key) => inner[key], event);
        if (gone) delete parent[path.at(-1) as string];
        else parent[path.at(-1) as string] = value;
        writeFileSync(file, lines.map((line, k) => (k === i ? JSON.stringify(event) : line)).join('\n'));
        for (const words of [...verbs, ...reports].map((text) => text.split(' '))) {
          const { code, stderr } = await called(words[0] as string, file, ...words.slice(1));
          if (code === 0) continue;
          assert.is(code, 2, `${words}: ${stderr}`);
          if (!words.includes('--json'))
            assert.match(`${words} ${stderr}`, /^[^ ]* rxhive: .*changed\.jsonl.*\n$/);
        }
      },
    ),
    // Found by chance: a log that does not begin with its plan.
    { numRuns: 150, examples: [[{ i: 1, path: ['reason'] }, '', false]] },
  );
});

/** Ways to all fields of a value, the outer ones first. */
function pathsOf(value: unknown): string[][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [
    [key],
    ...pathsOf(inner).map((path) => [key, ...path]),
  ]);
}

test('an input is the one of the call, and a run that goes on has the one it began with', async () => {
  const { code, stdout } = await called('run', add, '--input', '{"n":1}', '--quiet', '--json');
  assert.is(code, 0);
  assert.equal(
    JSON.parse(stdout).tasks.map((task: { id: string; status: string }) => [task.id, task.status]),
    [
      ['one', 'succeeded'],
      ['two', 'succeeded'],
    ],
  );
  const { stdout: inspected } = await called('inspect', log, '--task', 'two', '--json');
  assert.is(JSON.parse(inspected).value, 7);
  assert.match(readFileSync(at('out.html'), 'utf8'), /add/);
});

test.run();
