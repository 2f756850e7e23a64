import {
  asyncScheduler,
  type MonoTypeOperatorFunction,
  Observable,
  type SchedulerLike,
  type Subscription,
} from 'rxjs';
import { getOrInsert } from '../kernel/get-or-insert.js';
import type { WorkflowEvent } from '../model/event.js';
import { Redactor } from '../observe/redact.js';
import { Frame, type TerminalStream, widthOf } from './frame.js';
import { RunView, type TaskView } from './run-view.js';
import { statusStyles } from './status-style.js';
import { streamText } from './stream-text.js';
import { duration, messageOf, short, statusOf } from './text.js';

export type { TerminalStream };

/** How a run is shown in a terminal. */
export interface TerminalOptions {
  /** Default `process.stderr`, so that stdout stays free for results. */
  readonly stream?: TerminalStream;
  /**
   * A picture that is redrawn, or a line per event that matters. Default: a picture on a TTY outside of CI. With a picture
   * on `process.stderr`, what the process prints on the terminal meanwhile is put above it, line by line.
   */
  readonly live?: boolean;
  /** Default: on a TTY, unless NO_COLOR is set. */
  readonly colour?: boolean;
  /** Ms between two pictures. Default 80. */
  readonly interval?: number;
  /** Clock of the pictures. Default: rxjs `asyncScheduler`. */
  readonly scheduler?: SchedulerLike;
}

/** Failures that are told one by one. */
const mostFailures = 100;
const codes = { red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, dim: 2, bold: 1 } as const;
type Paint = (text: string, ...styles: (keyof typeof codes)[]) => string;

/**
 * Shows a run in the terminal while its events pass: what runs, with the tail of its stream, counts, limits in use and
 * time left; plain lines where there is no terminal. What tasks say is stripped of control characters.
 */
export function terminal(options: TerminalOptions = {}): MonoTypeOperatorFunction<WorkflowEvent> {
  return (events$) =>
    new Observable((subscriber) => {
      const screen = new Screen(options);
      const shown = events$.subscribe({
        next: (event) => {
          screen.show(event);
          subscriber.next(event);
        },
        error: (error: unknown) => {
          screen.end();
          subscriber.error(error);
        },
        complete: () => {
          screen.end();
          subscriber.complete();
        },
      });
      return () => {
        shown.unsubscribe();
        screen.end();
      };
    });
}

class Screen {
  readonly #view = new RunView({ events: 0 });
  readonly #stream: TerminalStream;
  readonly #paint: Paint;
  readonly #interval: number;
  readonly #redactor = new Redactor();
  readonly #frame: Frame | undefined;
  /** Failures that the next picture is to have above it. */
  #failures: string[] = [];
  #failed = 0;
  readonly #scheduler: SchedulerLike;
  #due: Subscription | undefined;
  #ended = false;

  constructor(options: TerminalOptions) {
    const { stream = process.stderr, interval = 80, scheduler = asyncScheduler } = options;
    const { NO_COLOR, CI, TERM } = process.env;
    const tty = stream.isTTY === true && TERM !== 'dumb';
    this.#stream = stream;
    this.#interval = interval;
    this.#scheduler = scheduler;
    const live = options.live ?? (tty && (CI === undefined || CI === '' || CI === 'false'));
    this.#frame = live ? new Frame(stream, stream === process.stderr) : undefined;
    const colour = options.colour ?? (tty && (NO_COLOR === undefined || NO_COLOR === ''));
    this.#paint = (text, ...styles) =>
      colour ? `${styles.map((one) => `\u001b[${codes[one]}m`).join('')}${text}\u001b[0m` : text;
  }

  show(event: WorkflowEvent): void {
    this.#view.apply(event);
    const frame = this.#frame;
    if (frame === undefined) {
      const line = this.#line(event);
      if (line !== undefined) this.#stream.write(`${line}\n`);
      return;
    }
    if (this.#ended) return;
    this.#fail(event);
    this.#due ??= this.#scheduler.schedule(() => {
      this.#due = undefined;
      frame.draw(this.#picture(frame), this.#failures.splice(0));
    }, this.#interval);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#due?.unsubscribe();
    const more = this.#failed - mostFailures;
    if (more > 0) this.#failures.push(`… and ${more} more failed`);
    this.#frame?.draw([this.#head()], this.#failures);
    this.#frame?.end();
  }

  #fail(event: WorkflowEvent): void {
    if (event.type !== 'task' || event.reason !== 'failed' || event.tolerated === true) return;
    this.#failed += 1;
    if (this.#failed > mostFailures) return;
    const { taskId, error } = event;
    const line = `${statusStyles.failed.sign} ${this.#text(taskId, 60)}: ${this.#text(messageOf(error), 300)}`;
    this.#failures.push(this.#paint(line, 'red'));
  }

  #picture(frame: Frame): string[] {
    const tasks = this.#view.list().filter(({ status }) => statusStyles[status].paint !== undefined);
    const below = [this.#limits(), this.#head()].filter((line) => line !== '');
    const room = Math.max(1, frame.most - below.length);
    const shown = tasks.length > room ? tasks.slice(0, room - 1) : tasks;
    const framed = this.#framed(shown, frame.columns);
    const lines = framed.length <= room ? framed : shown.map((task) => this.#row(task, frame.columns));
    const more = tasks.length - shown.length;
    return [...lines, ...(more > 0 ? [this.#paint(`  … and ${more} more at work`, 'dim')] : []), ...below];
  }

  /** Tasks of a nested workflow, and turns of a loop, stand below its name with what their ids have beside that. */
  #framed(tasks: readonly TaskView[], columns: number): string[] {
    const inside = new Map<string, TaskView[]>();
    for (const task of tasks) {
      const { within } = task.plan;
      if (within !== undefined && within !== task.id) getOrInsert(inside, within, () => []).push(task);
    }
    const done = new Set<string>();
    const below = (name: string, depth = 1): string[] => {
      done.add(name);
      return (inside.get(name) ?? []).flatMap((task) => [
        this.#row(task, columns, `${'│ '.repeat(depth)}${task.id.slice(name.length + 1)}`),
        ...below(task.id, depth + 1),
      ]);
    };
    const own = new Set(tasks.map(({ id }) => id));
    return tasks.flatMap((task) => {
      const { within } = task.plan;
      if (within === undefined || within === task.id) return [this.#row(task, columns), ...below(task.id)];
      // Its frame comes, or has come, where the task is that it belongs to.
      if (own.has(within) || done.has(within)) return [];
      return [this.#paint(`  ${this.#text(within, 60)}`, 'dim'), ...below(within)];
    });
  }

  #row(task: TaskView, columns: number, label = task.id): string {
    const span = task.spans.at(-1);
    const time = span === undefined ? '' : duration(this.#view.now - span.from);
    const attempt = task.attempts > 1 ? ` attempt ${task.attempts}` : '';
    const most = Math.max(8, Math.min(28, columns - 24));
    const name = this.#text(label, most);
    const space = ' '.repeat(Math.max(0, most - widthOf(name)));
    const { sign, paint = 'dim' } = statusStyles[task.status];
    const left = `${sign} ${name}${space} ${time.padStart(8)}${attempt}`;
    const tail = this.#tail(task, columns - widthOf(left) - 3);
    return `${this.#paint(left, paint)}  ${this.#paint(tail, 'dim')}`;
  }

  /** The end of what it streams, or its newest message. */
  #tail(task: TaskView, most: number): string {
    if (most < 8) return '';
    const newest = task.stream.slice(-40);
    const said =
      task.streamed > 0
        ? (streamText(newest) ??
          newest.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join(' '))
        : (task.messages.at(-1)?.message ?? '');
    const line = this.#text(said, 10_000);
    return line.length > most ? `…${line.slice(1 - most).replace(/^[\udc00-\udfff]/, '')}` : line;
  }

  #limits(): string {
    const groups = [...this.#view.groups.values()].filter(
      ({ name, active, ready }) => name !== undefined && active + ready > 0,
    );
    return groups
      .slice(0, 6)
      .map(({ name, active, limit, ready, gatedUntil }) => {
        const held =
          gatedUntil > this.#view.now
            ? this.#paint(` held ${duration(gatedUntil - this.#view.now)}`, 'yellow')
            : '';
        return `${this.#text(name ?? '', 16)} ${active}${limit === undefined ? '' : `/${limit}`}${ready > 0 ? ` +${ready}` : ''}${held}`;
      })
      .join('  ');
  }

  #head(): string {
    const { workflow, status, now, tasks } = this.#view;
    const counts = this.#view.counts();
    const good = (counts.succeeded ?? 0) + (counts.restored ?? 0);
    const left = this.#view.left();
    const parts = [
      this.#paint(this.#text(workflow, 40), 'bold'),
      status === 'succeeded'
        ? this.#paint(status, 'green')
        : status === 'running'
          ? status
          : this.#paint(status, 'red'),
      `${good}/${tasks.size} done`,
      ...((counts.failed ?? 0) > 0 ? [this.#paint(`${counts.failed} failed`, 'red')] : []),
      ...((counts.cancelled ?? 0) > 0 ? [`${counts.cancelled} cancelled`] : []),
      ...((counts.skipped ?? 0) > 0 ? [`${counts.skipped} skipped`] : []),
      duration(now),
      ...(status === 'running' && left !== undefined ? [`about ${duration(left)} left`] : []),
    ];
    return parts.join('  ');
  }

  /** A line for the events that people wait for. */
  #line(event: WorkflowEvent): string | undefined {
    const at = duration(event.at).padStart(9);
    if (
      event.type === 'plan' ? event.reason === 'initial' : event.type === 'run' && event.reason !== 'started'
    )
      return [
        `${at} ${this.#head()}`,
        ...this.#view.stuck.map((one) => `${at} stuck: ${this.#text(one, 500)}`),
      ].join('\n');
    if (event.type === 'log')
      return `${at} ${this.#text(event.taskId, 60)}: ${this.#text(event.message, 500)}`;
    if (event.type !== 'task') return undefined;
    const { reason, taskId, error, delay, tolerated = false, decided = false } = event;
    if (reason === 'waiting' || reason === 'ready') return undefined;
    const said = decided ? becauseOf(error) : messageOf(error);
    const why = error === undefined ? '' : `: ${this.#text(said, 500)}`;
    const next = delay === undefined ? '' : `, again in ${duration(delay)}`;
    const line = `${at} ${statusStyles[reason].sign} ${this.#text(taskId, 60)} ${statusOf({ status: reason, tolerated })}${why}${next}`;
    return reason === 'failed' && !tolerated
      ? this.#paint(line, 'red')
      : reason === 'succeeded'
        ? this.#paint(line, 'green')
        : line;
  }

  #text(text: string, most: number): string {
    return short(this.#redactor.text(text), most);
  }
}

/** Why it was decided that a task does not run. */
function becauseOf(error: unknown): string {
  const { because } = (error ?? {}) as { readonly because?: unknown };
  return typeof because === 'string' ? because : messageOf(error);
}
