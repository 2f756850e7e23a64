import { createInterface } from 'node:readline/promises';
import { Subject } from 'rxjs';
import { jsonOrText } from '../kernel/json-or-text.js';
import type { WorkflowEvent } from '../model/event.js';
import { rowStatuses } from '../model/run-row.js';
import type { CheckpointStore, StoredRun } from '../model/store.js';
import { short } from '../views/text.js';
import { command } from './command.js';
import { exitCodes } from './exit-code.js';
import { interruptible } from './interrupt.js';
import { isWorkflow } from './load.js';
import { type AskedInRun, askedIn, askedInEvents, type RunQuestion, toldQuestion } from './open-questions.js';
import { flag, text, type Values } from './option.js';
import { codeOf, type Output } from './output.js';
import { fromLog } from './read-log.js';
import { existing, isStore, quoted, stored, storedOptions } from './stored.js';
import { type Watched, watch, watchOptions } from './watch.js';
import { WrongCall } from './wrong-call.js';

/**
 * `rxhive answer STORE|LOG [QUESTION [VALUE]]`: what people have to answer, with its context; an answer makes the run go on
 * until it ends or waits again. On a terminal it asks for answers.
 */
export const answer = command({
  name: 'answer',
  help: 'lists what waits for people, with its context; an answer makes the run go on',
  words: [
    {
      name: 'STORE|LOG',
      missing: 'give the store that rxhive run MODULE --store has written, or a log to read',
    },
    { name: 'QUESTION' },
    { name: 'VALUE' },
  ],
  options: {
    ...storedOptions,
    run: text('ID', 'which run of the store; by default all of them'),
    text: flag('the value is a text, also where it is JSON'),
    ...watchOptions,
  },
  does: async (call) => {
    const { values, out } = call;
    const [file, id, said] = call.words;
    const isTalk = !out.isJson && process.stdin.isTTY === true && out.stderr.isTTY === true;
    if (!isStore(file))
      return fromLog(file, ({ events }) => listed(askedInEvents(events), file, out, false, id));
    if (id !== undefined && said !== undefined) {
      const asked = await runAsking(file, id, values.run);
      const value = values.text ? said : answerFrom(said, asked.all.get(id));
      return given({ ...values, out, file, run: asked.runId, id, value });
    }
    const open = await openIn(file, values.run, id);
    if (id !== undefined && !isTalk)
      throw new WrongCall(`give the answer too: rxhive answer ${file} ${quoted(id)} VALUE`);
    if (!isTalk) return listed(open, file, out, true);
    const reader = createInterface({ input: process.stdin, output: process.stderr });
    const closed = new AbortController();
    reader.once('close', () => closed.abort());
    try {
      return await interview({
        open: () => openIn(file, values.run, id),
        say: (line) => out.note(line),
        ask: (prompt) => reader.question(prompt, { signal: closed.signal }),
        give: (question, value) => given({ ...values, out, file, run: question.run, id: question.id, value }),
      });
    } finally {
      reader.close();
    }
  },
});

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
  const value = jsonOrText(text);
  return schema?.type === 'string' && typeof value !== 'string' ? text : value;
}

interface Given extends Values<typeof watchOptions> {
  readonly out: Output;
  readonly file: string;
  readonly run: string;
  readonly id: string;
  readonly value: unknown;
  readonly module: string | undefined;
}

async function given({ file, run, id, value, module, out, ...watching }: Given): Promise<number> {
  const { store, source } = await stored(file, { run, module });
  return interruptible(out, async ({ signal }) => {
    const events$ = new Subject<WorkflowEvent>();
    const going: Watched = isWorkflow(source)
      ? {
          events$,
          result: () =>
            source.answer(store, run, id, value, {
              signal,
              watch: (one) =>
                one.events$.subscribe({ next: (event) => events$.next(event), error: () => undefined }),
            }),
        }
      : { events$: source.events$, result: () => source.answer(store, run, id, value, { signal }) };
    try {
      return await watch(going, { ...watching, out, signal, kept: { store, runId: run } });
    } catch (error) {
      // Why the answer does not count: nothing is wrong with the call.
      if (codeOf(error) === undefined) throw error;
      out.failed(error);
      return exitCodes.failed;
    }
  });
}

/** What a run has asked that was named. @throws WrongCall where there is none */
async function askedBy(at: CheckpointStore, file: string, run: string): Promise<AskedInRun> {
  const asked = await askedIn(at, run);
  if (asked === undefined) throw new WrongCall(`there is no run ${short(run, 100)} in ${file}`);
  return asked;
}

async function openIn(file: string, run: string | undefined, id?: string): Promise<readonly RunQuestion[]> {
  const at = existing(file);
  const asking =
    run === undefined
      ? await Promise.all((await unfinished(at)).map(({ runId }) => askedIn(at, runId)))
      : [await askedBy(at, file, run)];
  const open = asking.flatMap((one) => one?.open ?? []);
  return id === undefined ? open : open.filter((one) => one.id === id);
}

/** Runs that may wait for people, the one written last first. Of those that have succeeded there may be very many. */
async function unfinished(at: CheckpointStore): Promise<readonly StoredRun[]> {
  const statuses = rowStatuses.filter((status) => status !== 'succeeded');
  const runs = await Promise.all(statuses.map((status) => at.runs({ status })));
  return runs.flat().sort((a, b) => b.updatedAt - a.updatedAt);
}

/** The run that has asked. One that was answered counts too: the same answer twice must not go to another run. */
async function runAsking(file: string, id: string, run: string | undefined): Promise<AskedInRun> {
  const at = existing(file);
  if (run !== undefined) {
    const asked = await askedBy(at, file, run);
    if (asked.all.has(id)) return asked;
  } else {
    let only: AskedInRun | undefined;
    for (const { runId } of await at.runs()) {
      const asked = await askedIn(at, runId);
      if (!asked?.all.has(id)) continue;
      if (only !== undefined) {
        const both = [only, asked].map((one) => short(one.runId, 60));
        throw new WrongCall(`several runs ask ${short(id, 100)}: ${both.join(', ')}; say --run`);
      }
      only = asked;
    }
    if (only !== undefined) return only;
  }
  const open = (await openIn(file, run)).slice(0, 5).map((one) => short(one.id, 60));
  const there = open.length === 0 ? 'nothing waits for people' : `open: ${open.join(', ')}`;
  throw new WrongCall(`there is no question ${short(id, 100)} in ${file}; ${there}`);
}

function listed(
  open: readonly RunQuestion[],
  file: string,
  out: Output,
  isAnswerable: boolean,
  id?: string,
): number {
  if (id !== undefined)
    throw new WrongCall(
      `${file} only tells what has happened; answer in the store: rxhive run MODULE --store FILE keeps one`,
    );
  const [first] = open;
  out.answer(
    () => ({ questions: open }),
    () =>
      first === undefined
        ? 'Nothing waits for people.'
        : [
            ...open.map((one) => toldQuestion(one, Date.now())),
            ...(isAnswerable ? ['', `rxhive answer ${file} ${quoted(first.id)} VALUE`] : []),
          ].join('\n'),
  );
  return 0;
}
