import { createInterface } from 'node:readline/promises';
import { Subject } from 'rxjs';
import { short, visible } from '../dashboard/text.js';
import { AnswerRefusedError, RxhiveError } from '../kernel/errors.js';
import type { WorkflowEvent } from '../model/event.js';
import { Workflow } from '../workflow.js';
import { type Command, parse } from './command.js';
import { type AskedInRun, askedIn, askedInEvents, type RunQuestion, toldQuestion } from './open-questions.js';
import { readLog } from './read-log.js';
import { isStore, runsOf, stored, storedOptions } from './stored.js';
import { type Watched, watched, watchOptions } from './watch.js';
import { WrongCall } from './wrong-call.js';

const { json, log, quiet } = watchOptions;

/**
 * `rxhive answer STORE|LOG [QUESTION [VALUE]] [--run ID] [--module MODULE] [--text] [--log FILE] [--quiet] [--json]`: what
 * people have to answer, with its context; an answer makes the run go on until it ends or waits again. On a terminal it asks
 * for answers. 0 when the answer counts and the run has succeeded or waits for more, else 1.
 */
export const answer: Command = async (words) => {
  const { values, positionals } = parse({
    args: [...words],
    allowPositionals: true,
    options: { ...storedOptions, json, log, quiet, text: { type: 'boolean' } },
  });
  const [file, id, text] = positionals;
  if (file === undefined)
    throw new WrongCall('give the store that rxhive run MODULE --store has written, or a log to read');
  const isTalk = values.json !== true && process.stdin.isTTY === true && process.stderr.isTTY === true;
  if (!isStore(file))
    return listed(askedInEvents(readLog(file).events), file, values.json === true, false, id);
  if (id !== undefined && text !== undefined) {
    const asked = await runAsking(file, id, values.run);
    const value = values.text === true ? text : answerFrom(text, asked.all.get(id));
    return given({ ...values, file, run: asked.runId, id, value });
  }
  const open = await openIn(file, values.run, id);
  if (id !== undefined && !isTalk)
    throw new WrongCall(`give the answer too: rxhive answer ${file} ${quoted(id)} VALUE`);
  if (!isTalk) return listed(open, file, values.json === true, true);
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await interview({
      open: () => openIn(file, values.run, id),
      say: (line) => console.error(line),
      ask: (prompt) => reader.question(prompt),
      give: (question, value) => given({ ...values, file, run: question.run, id: question.id, value }),
    });
  } finally {
    reader.close();
  }
};

/** What an {@link interview} is held with. */
export interface Interview {
  open(): Promise<readonly RunQuestion[]>;
  say(line: string): void;
  /** Rejects at the end of the input. */
  ask(prompt: string): Promise<string>;
  /** Resolves with an exit code; 1 after a refusal. */
  give(question: RunQuestion, value: unknown): Promise<number>;
}

/** Asks for an answer to each open question, also to those that come up by answers; an empty line leaves one open. */
export async function interview({ open, say, ask, give }: Interview): Promise<number> {
  const left = new Set<string>();
  let code = 0;
  for (;;) {
    const next = (await open()).find(({ run, id }) => !left.has(`${run} ${id}`));
    if (next === undefined) {
      if (left.size === 0 && code === 0) say('Nothing waits for people.');
      return code;
    }
    say(toldQuestion(next, Date.now()));
    const text = await ask('answer (JSON or text, empty: later) > ').catch(() => undefined);
    if (text === undefined) return code;
    if (text.trim() === '') left.add(`${next.run} ${next.id}`);
    else code = await give(next, answerFrom(text, next.schema));
  }
}

/** JSON where it is that, else the text; where a text is wanted, JSON counts only when it is a text too. */
export function answerFrom(text: string, schema?: Readonly<Record<string, unknown>>): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return text;
  }
  return schema?.type === 'string' && typeof value !== 'string' ? text : value;
}

interface Given {
  readonly file: string;
  readonly run: string;
  readonly id: string;
  readonly value: unknown;
  readonly module?: string | undefined;
  readonly json?: boolean | undefined;
  readonly log?: string | undefined;
  readonly quiet?: boolean | undefined;
}

async function given({ file, run, id, value, module, ...watching }: Given): Promise<number> {
  const { store, source } = await stored(file, { run, module });
  const events$ = new Subject<WorkflowEvent>();
  const going: Watched =
    source instanceof Workflow
      ? {
          events$,
          result: () =>
            source.answer(store, run, id, value, { watch: (one) => one.events$.subscribe(events$) }),
        }
      : { events$: source.events$, result: () => source.answer(store, run, id, value) };
  try {
    const { status } = await watched(going, { ...watching, port: '0' });
    return status === 'succeeded' || status === 'suspended' ? 0 : 1;
  } catch (error) {
    if (!(error instanceof RxhiveError)) throw error;
    const { code, message } = error;
    const issues = error instanceof AnswerRefusedError ? error.issues : [];
    if (watching.json === true) console.log(visible(JSON.stringify({ error: { code, message, issues } })));
    else {
      console.error(`rxhive: ${short(message, 2_000)}`);
      for (const { path, message } of issues)
        console.error(`  ${short(path === '' ? message : `${path}: ${message}`, 2_000)}`);
    }
    return 1;
  }
}

async function asking(file: string, run: string | undefined): Promise<readonly AskedInRun[]> {
  const { at, runs } = await runsOf(file);
  if (run !== undefined && !runs.some(({ runId }) => runId === run))
    throw new WrongCall(`there is no run ${short(run, 100)} in ${file}`);
  const wanted = run === undefined ? runs : [{ runId: run }];
  return Promise.all(wanted.map(({ runId }) => askedIn(at, runId)));
}

async function openIn(file: string, run: string | undefined, id?: string): Promise<readonly RunQuestion[]> {
  const open = (await asking(file, run)).flatMap((one) => one.open);
  return id === undefined ? open : open.filter((one) => one.id === id);
}

/** The run that has asked. One that was answered counts too: the same answer twice must not go to another run. */
async function runAsking(file: string, id: string, run: string | undefined): Promise<AskedInRun> {
  const found = (await asking(file, run)).filter(({ all }) => all.has(id));
  const [only] = found;
  if (found.length > 1)
    throw new WrongCall(
      `several runs ask ${short(id, 100)}: ${found.map((one) => short(one.runId, 60)).join(', ')}; say --run`,
    );
  if (only !== undefined) return only;
  const open = (await openIn(file, run)).slice(0, 5).map((one) => short(one.id, 60));
  const there = open.length === 0 ? 'nothing waits for people' : `open: ${open.join(', ')}`;
  throw new WrongCall(`there is no question ${short(id, 100)} in ${file}; ${there}`);
}

function listed(
  open: readonly RunQuestion[],
  file: string,
  isJson: boolean,
  isAnswerable: boolean,
  id?: string,
): number {
  if (id !== undefined)
    throw new WrongCall(
      `${file} only tells what has happened; answer in the store: rxhive run MODULE --store FILE keeps one`,
    );
  if (isJson) console.log(visible(JSON.stringify({ questions: open })));
  else if (open.length === 0) console.log('Nothing waits for people.');
  else {
    for (const one of open) console.log(toldQuestion(one, Date.now()));
    if (isAnswerable) console.log(`\nrxhive answer ${file} ${quoted(open[0]?.id ?? '')} VALUE`);
  }
  return 0;
}

/** For the shell. */
function quoted(id: string): string {
  return `'${short(id, 300).replaceAll("'", "'\\''")}'`;
}
