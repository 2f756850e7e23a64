import type { Observable } from 'rxjs';
import { inspect, RxhiveError } from '../../kernel/errors.js';
import { SimulationScheduler } from '../../kernel/simulation-scheduler.js';
import type { Task } from '../../model/dependency.js';
import type { WorkflowEvent } from '../../model/event.js';
import type { LoadSample } from '../../model/load.js';
import type { WorkflowResult } from '../../model/result.js';
import type { RunStatus } from '../../model/status.js';
import type { Definable } from '../../model/workflow.js';
import type { Run } from '../../run.js';
import { type ExploreOptions, playSchedule, type Subject } from '../explore/explore.js';
import { errorFrom, matches } from '../explore/outcome.js';
import type { Schedule } from '../explore/perturbation.js';
import { TrialRun, type TrialRunOptions } from '../explore/trial.js';
import { drive, virtually } from '../virtual-time.js';
import { difference, MarbleMismatchError, textDifference } from './difference.js';
import { type MarbleAgent, type MarbleValue, marbleAgent, streamOf } from './marble-agent.js';
import { durationOf, type Moment, parseMarbles } from './marble-text.js';
import { drawRow, drawTimeline, readTimeline, type TimelinePicture } from './timeline.js';

/** How time is counted in one marble test. */
export interface MarbleOptions {
  /** Time one character stands for: ms, or a text such as `100ms`. Default 1. */
  readonly unit?: number | string;
  /** Virtual time at which a test that has not ended fails. Default `1000h`. */
  readonly until?: number | string;
  /** Called when the test has passed, with a picture of each run: draw it with `timelineSvg`. */
  readonly seen?: (pictures: readonly TimelinePicture[]) => void;
}

/** An expectation about something that happens over time. */
export interface MarbleExpectation {
  /** `values` say what letters stand for (default: themselves); `error` is the code of `#` (default `error`). */
  toBe(marbles: string, values?: Readonly<Record<string, unknown>>, error?: unknown): void;
}

/** What the body of a marble test works with. Expectations are about the last `flow()` before them. */
export interface MarbleTools {
  /** Virtual time, for bodies that want a scheduler. Those of rxjs without one use it anyway. */
  readonly scheduler: SimulationScheduler;
  /**
   * A body that does what the marbles say: one text, or one for each attempt (the last is used again). `values` are
   * what letters stand for, or functions `(inputs, ctx) => value`; `error` is what `#` fails with, an error or its
   * code, or a list with one for each attempt.
   */
  agent<V = string>(
    marbles: string | readonly string[],
    values?: Readonly<Record<string, MarbleValue<V>>>,
    error?: unknown,
  ): MarbleAgent<V>;
  /** An Observable in virtual time, cold. */
  cold<V = string>(marbles: string, values?: Readonly<Record<string, V>>, error?: unknown): Observable<V>;
  /**
   * A machine for the option `load$`: `h` is high load, `l` low load, other letters are the samples given:
   * `flow(crawl, { load$: load('-h--m', { m: { memory: 0.9 } }) })`.
   */
  load(marbles: string, samples?: Readonly<Record<string, LoadSample>>): Observable<LoadSample>;
  /** A run of a workflow or orchestrator that starts when the body has returned. */
  flow(subject: Definable, options?: TrialRunOptions): Run;
  /** Any run made with these options: `await run((options) => flow.compensate(store, id, options))`. */
  run<S, G extends string>(
    make: (options: {
      readonly scheduler: SimulationScheduler;
      readonly seed: number;
    }) => Run<S, G> | PromiseLike<Run<S, G>>,
  ): Promise<Run<S, G>>;
  /** Does something at a virtual time: `at('50ms', () => run.setConcurrency(1))`. */
  at(time: number | string, action: () => void): void;
  /** Answers a question of the last `flow()` at a virtual time; an answer that is refused fails the test. */
  answer(time: number | string, questionId: string, value: unknown): void;
  /** What a task emits: its values, then `|` or `#`. */
  expectTask(task: Task | string): MarbleExpectation;
  /**
   * What any stream says from now on, in virtual time, until all runs have ended: it is subscribed at once, and is a row of its own, called `name`, at the
   * bottom of the picture that `seen` gets of the last run.
   */
  expectStream(name: string, stream$: Observable<unknown>): MarbleExpectation;
  /** Events that match a pattern or a predicate, as marbles; letters stand for patterns of events. */
  expectEvents(filter?: Readonly<Record<string, unknown>> | ((event: WorkflowEvent) => boolean)): {
    toBe(marbles: string, patterns: Readonly<Record<string, Readonly<Record<string, unknown>>>>): void;
  };
  /** The whole run as a picture, a row for each task or for those given; see {@link timelineAlphabet}. */
  expectTimeline(...tasks: readonly (Task | string)[]): { toBe(picture: string): void };
  /** From when to when (`^--!`) each attempt of an agent was alive, in order of start. */
  expectSubscriptions(agent: MarbleAgent): { toBe(marbles: string | readonly string[]): void };
  /** Goes a way that `explore` has found and checks its invariants; what the test it prints consists of. */
  expectInvariants(subject: Subject, schedule: Schedule, options?: ExploreOptions): void;
  /** How the run ends. */
  expectStatus(status: RunStatus): void;
  /** Anything else, once the run has ended. */
  after(check: (result: WorkflowResult, run: Run) => void): void;
}

/**
 * A test of a workflow in virtual time, for any test runner: `test('name', marbles(({ flow, agent }) => { ... }))`, or
 * `await marbles(...)()` within a test; options may stand before the function. It fails with one error that shows every expectation that did not hold.
 * Bodies may return promises; what they wait for has to be virtual too: `ctx.sleep`, or timers of rxjs.
 */
export function marbles(
  ...given: [(tools: MarbleTools) => unknown] | [MarbleOptions, (tools: MarbleTools) => unknown]
): () => Promise<void> {
  const [options, body] = given.length === 1 ? [{}, given[0]] : given;
  return () => new MarbleTest(options).run(body);
}

/** A busy machine and a calm one. */
const loads = {
  h: { eventLoop: 0.99, delayMs: 200, cpu: 0.99 },
  l: { eventLoop: 0.1, delayMs: 1, cpu: 0.1 },
};

type Check = () => Error | undefined;

class MarbleTest {
  readonly #scheduler = new SimulationScheduler();
  readonly #unit: number;
  readonly #until: number;
  readonly #trials: TrialRun[] = [];
  readonly #checks: Check[] = [];
  readonly #plays: [Subject, Schedule, ExploreOptions | undefined][] = [];
  readonly #streams: SeenStream[] = [];
  readonly #seen: MarbleOptions['seen'];
  #actions = 0;

  constructor({ unit = 1, until = '1000h', seen }: MarbleOptions) {
    this.#seen = seen;
    this.#unit = durationOf(unit);
    this.#until = durationOf(until);
    if (!(this.#unit > 0)) throw new RxhiveError('INVALID_OPTION', 'unit is 0; give ms above 0.');
  }

  run(body: (tools: MarbleTools) => unknown): Promise<void> {
    return virtually(this.#scheduler, async () => {
      await body(this.#tools());
      for (const trial of this.#trials) trial.start();
      const done = (): boolean => this.#actions === 0 && this.#trials.every(({ ended }) => ended);
      await drive(this.#scheduler, done, this.#until);
      this.#verify();
    })
      .then(() => this.#play())
      .then(() => this.#seen?.(this.#pictures()));
  }

  #pictures(): TimelinePicture[] {
    return this.#trials.map(({ picture }, i) => {
      const own = { ...picture, unit: this.#unit };
      return i < this.#trials.length - 1 ? own : this.#streams.reduce(withStream, own);
    });
  }

  /** Ways to go have virtual times of their own, so they come after this one is over. */
  async #play(): Promise<void> {
    for (const [subject, schedule, options] of this.#plays) {
      const violation = await playSchedule(subject, schedule, options);
      if (violation === undefined) continue;
      throw new Error(`"${violation.invariant}" is broken at ${violation.at} ms: ${violation.message}`);
    }
  }

  #verify(): void {
    const problems = [
      ...this.#trials.map((trial) => this.#unended(trial)),
      ...this.#checks.map((check) => check()),
    ].filter((problem) => problem !== undefined);
    if (problems.length === 0) return;
    if (problems.length === 1) throw problems[0];
    const side = (name: 'expected' | 'actual'): string =>
      problems.map((one) => (one instanceof MarbleMismatchError ? one[name] : '')).join('\n');
    const text = problems.map(({ message }) => message).join('\n\n');
    throw new MarbleMismatchError(text, side('expected'), side('actual'));
  }

  #unended(trial: TrialRun): Error | undefined {
    if (trial.failure !== undefined) return trial.failure as Error;
    if (trial.ended) return undefined;
    const picture = drawTimeline(trial.timeline, this.#unit);
    const open = trial.open.join('\n  ');
    trial.run.cancel();
    return new Error(`the run has not ended after ${this.#scheduler.now()} ms:\n  ${open}\n${picture}`);
  }

  get #trial(): TrialRun {
    const trial = this.#trials.at(-1);
    if (trial === undefined)
      throw new RxhiveError('INVALID_OPTION', 'There is no run yet; call flow(...) before expectations.');
    return trial;
  }

  #tools(): MarbleTools {
    const scheduler = this.#scheduler;
    const unit = this.#unit;
    return {
      scheduler,
      agent: (text, values, errors) => marbleAgent(scheduler, text, { unit, values, errors }),
      cold: (text, values, error) =>
        streamOf(scheduler, parseMarbles(text, unit), (one) => meaning(one, values) as never, error),
      load: (text, samples) => {
        const known: Readonly<Record<string, LoadSample>> = { ...loads, ...samples };
        const moments = parseMarbles(text, unit);
        for (const { letter = '' } of moments)
          if (letter !== '' && !Object.hasOwn(known, letter))
            throw new RxhiveError(
              'INVALID_OPTION',
              `load: ${inspect(letter)} is no sample; give it one, or use h or l.`,
            );
        return streamOf(scheduler, moments, (one) => known[one.letter ?? ''] as LoadSample, undefined);
      },
      flow: (subject, options) => {
        const trial = TrialRun.of(subject, scheduler, options);
        this.#trials.push(trial);
        return trial.run;
      },
      run: async (make) => {
        const run = await make({ scheduler, seed: 1 });
        this.#trials.push(new TrialRun(run as unknown as Run, scheduler));
        return run;
      },
      at: (time, action) => {
        this.#actions += 1;
        scheduler.schedule(() => {
          this.#actions -= 1;
          action();
        }, durationOf(time));
      },
      answer: (time, questionId, value) => this.#answer(time, questionId, value),
      expectTask: (task) => this.#expectTask(typeof task === 'string' ? task : task.id),
      expectStream: (name, stream$) => this.#expectStream(name, stream$),
      expectEvents: (filter) => this.#expectEvents(filter),
      expectTimeline: (...tasks) => this.#expectTimeline(tasks),
      expectSubscriptions: (agent) => this.#expectSubscriptions(agent),
      expectInvariants: (subject, schedule, options) => {
        this.#plays.push([subject, schedule, options]);
      },
      expectStatus: (status) => {
        const trial = this.#trial;
        this.#checks.push(() => {
          const actual = trial.result?.status ?? 'not ended';
          if (actual === status) return undefined;
          const report = trial.result === undefined ? '' : `\n${String(trial.result.report)}`;
          return new MarbleMismatchError(`the run is ${actual}, not ${status}${report}`, status, actual);
        });
      },
      after: (check) => {
        const trial = this.#trial;
        this.#checks.push(() => {
          if (trial.result === undefined) return undefined;
          try {
            check(trial.result, trial.run);
            return undefined;
          } catch (error) {
            return error as Error;
          }
        });
      },
    };
  }

  #answer(time: number | string, questionId: string, value: unknown): void {
    const { run } = this.#trial;
    let refused: Error | undefined;
    this.#actions += 1;
    this.#checks.push(() => refused);
    this.#scheduler.schedule(() => {
      this.#actions -= 1;
      run.answer(questionId, value).catch((error: Error) => {
        refused = error;
      });
    }, durationOf(time));
  }

  #expectTask(id: string): MarbleExpectation {
    return this.#expectation(`task "${id}"`, this.#trial.watch(id));
  }

  #expectStream(name: string, stream$: Observable<unknown>): MarbleExpectation {
    const moments: Moment[] = [];
    this.#streams.push({ name, moments });
    const note = (what: Omit<Moment, 'at'>): void => {
      moments.push({ at: this.#scheduler.now(), ...what });
    };
    stream$.subscribe({
      next: (value) => note({ kind: 'next', value }),
      error: (error: unknown) => note({ kind: 'error', error }),
      complete: () => note({ kind: 'complete' }),
    });
    return this.#expectation(`stream "${name}"`, moments);
  }

  #expectation(what: string, actual: readonly Moment[]): MarbleExpectation {
    return {
      toBe: (text, values, error) => {
        const expected = this.#expected(text, values, error);
        this.#checks.push(() => difference(what, expected, actual, this.#unit));
      },
    };
  }

  #expected(text: string, values?: Readonly<Record<string, unknown>>, error?: unknown): Moment[] {
    return parseMarbles(text, this.#unit).map((moment) => {
      if (moment.kind === 'error') return { ...moment, error: errorFrom(error) };
      return moment.kind === 'next' ? { ...moment, value: meaning(moment, values) } : moment;
    });
  }

  #expectEvents(filter: Parameters<MarbleTools['expectEvents']>[0]): ReturnType<MarbleTools['expectEvents']> {
    const trial = this.#trial;
    const wanted = (event: WorkflowEvent): boolean =>
      typeof filter === 'function' ? filter(event) : filter === undefined || matches(event, filter);
    return {
      toBe: (text, patterns) => {
        const expected = this.#expected(text, patterns);
        this.#checks.push(() => {
          const events = trial.events.filter(wanted);
          const actual = events.map((event, i): Moment => {
            const pattern = expected[i]?.value;
            return { at: event.at, kind: 'next', value: matches(event, pattern) ? pattern : short(event) };
          });
          return difference('events', expected, actual, this.#unit);
        });
      },
    };
  }

  #expectTimeline(tasks: readonly (Task | string)[]): { toBe(picture: string): void } {
    const trial = this.#trial;
    const only = new Set(tasks.map((task) => (typeof task === 'string' ? task : task.id)));
    return {
      toBe: (picture) => {
        this.#checks.push(() => {
          const rows = trial.timeline.filter(({ taskId }) => only.size === 0 || only.has(taskId));
          const actual = new Map(rows.map((row) => [row.taskId, drawRow(row, this.#unit)]));
          const whole = drawTimeline(rows, this.#unit);
          return textDifference('timeline', readTimeline(picture), actual, whole);
        });
      },
    };
  }

  #expectSubscriptions(agent: MarbleAgent): { toBe(marbles: string | readonly string[]): void } {
    return {
      toBe: (texts) => {
        const expected = typeof texts === 'string' ? [texts] : texts;
        this.#checks.push(() => {
          for (let i = 0; i < Math.max(expected.length, agent.lifetimes.length); i++) {
            const wanted = parseMarbles(expected[i] ?? '', this.#unit);
            const problem = difference(`attempt ${i + 1}`, wanted, agent.lifetimes[i] ?? [], this.#unit);
            if (problem !== undefined) return problem;
          }
          return undefined;
        });
      },
    };
  }
}

/** A stream that is no task. */
interface SeenStream {
  readonly name: string;
  readonly moments: readonly Moment[];
}

/** A picture with one row more. */
function withStream(picture: TimelinePicture, { name, moments }: SeenStream): TimelinePicture {
  const last = moments.at(-1);
  const over = last?.kind === 'complete' ? 'succeeded' : last?.kind === 'error' ? 'failed' : undefined;
  const end = over === undefined || last === undefined ? [] : [{ at: last.at, status: over } as const];
  const values = moments.flatMap(({ kind, at, value }) =>
    kind === 'next' ? [{ taskId: name, at, value }] : [],
  );
  return {
    ...picture,
    rows: [...picture.rows, { taskId: name, changes: [{ at: 0, status: 'waiting' }, ...end] }],
    values: [...picture.values, ...values],
    endedAt: Math.max(picture.endedAt, last?.at ?? 0),
  };
}

function meaning({ letter = '' }: Moment, values: Readonly<Record<string, unknown>> | undefined): unknown {
  return values !== undefined && Object.hasOwn(values, letter) ? values[letter] : letter;
}

/** An event without what every event has. */
function short({ seq: _, at: __, runId: ___, ...rest }: WorkflowEvent): unknown {
  return rest;
}
