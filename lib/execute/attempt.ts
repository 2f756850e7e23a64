import { type Observable, ReplaySubject, type Subscription } from 'rxjs';
import type { AttemptHandle, TaskNode, WaitCause } from '../graph/node.js';
import type { CacheAnswer } from '../graph/ports.js';
import type { SignalSink } from '../graph/signal.js';
import type { Clock } from '../kernel/clock.js';
import { copy } from '../kernel/copy.js';
import { InvalidResultError, messageOf, RxhiveError, TaskSkippedError, truncate } from '../kernel/errors.js';
import { faultOf, readable } from '../kernel/guard.js';
import { GuardedStream } from '../kernel/guarded-stream.js';
import { settleMaybe } from '../kernel/maybe-promise.js';
import { type BodySink, follow } from '../kernel/stream-of.js';
import { addedBy } from '../model/executor.js';
import { timeoutsOf } from '../model/policy.js';
import { placesOf, type Validation, validate } from '../model/schema.js';
import type { WorkerFacts } from '../model/worker.js';
import type { CompletionHandler } from '../model/workflow.js';
import { askCondition, hasToAsk } from './condition.js';
import { AttemptContext } from './context.js';
import { handlersOf, noHandlers } from './handlers.js';
import { inputsOf } from './inputs.js';
import type { ExecutePorts } from './ports.js';
import { afterFailure } from './retry.js';
import { gone, inputs$ } from './streams.js';
import { AttemptTimeouts } from './timeouts.js';

/** The execute stage: begins one attempt of a task, which tells `signals`, the Observable of its slot, what it has to say. */
export function launch(node: TaskNode, ports: ExecutePorts, signals: SignalSink): AttemptHandle {
  const attempt = new Attempt(node, ports, signals);
  node.running = attempt;
  attempt.calling = true;
  try {
    attempt.begin();
  } catch (error) {
    attempt.failed(error);
  }
  attempt.calling = false;
  return attempt;
}

/** Runs the body once and follows what it returns: value, promise, stream, or a promise of one. */
class Attempt extends AttemptContext implements BodySink {
  early = 0;
  /** The body has not given control back yet. */
  calling = false;
  readonly #signals: SignalSink;
  #timeouts: AttemptTimeouts | undefined;
  /** Follows the streams the task reads. */
  #streams: Subscription | undefined;
  leaveStream: (() => void) | undefined;
  /** Waits for what the cache says. */
  #cached: Subscription | undefined;
  /** False: the result was there already, nobody is called. */
  #paid = true;
  /** Its clocks stand until one begins. */
  #waitsForWorker = false;
  /** It may be under way somewhere since an earlier process, of which the log need not have every failed attempt. */
  readonly again: boolean;
  raised: (() => void) | undefined;
  #lead: { done(value: unknown): void; left(): void } | undefined;

  constructor(node: TaskNode, ports: ExecutePorts, signals: SignalSink) {
    super(node, ports);
    this.#signals = signals;
    this.again = node.extra?.underWay === true;
  }

  begin(): void {
    const { node } = this;
    node.item?.started(node);
    const replay = node.extra?.replay;
    if (replay?.body === false) {
      this.#paid = false;
      this.#accepted(node.value);
      return;
    }
    const { remote } = node.definition;
    const asks = hasToAsk(node);
    if (remote === true && !asks) this.#waitsForWorker = true;
    else this.#armTimeouts();
    if (asks) this.#decide();
    else this.#work();
  }

  #decide(): void {
    const { node } = this;
    askCondition(node, this, {
      runs: () => {
        if (this.ended) return;
        if (node.definition.remote === true) this.#leave();
        this.#guarded(() => this.#work());
      },
      skips: () => {
        if (this.ended) return;
        node.uncall();
        this.#skip(new TaskSkippedError(node.id, 'its condition was false'));
      },
      failed: (error) => this.failed(error),
    });
  }

  #skip(error: TaskSkippedError): void {
    if (this.ended) return;
    this.#finish(error);
    this.abort(error);
    this.#signals.end({ kind: 'skipped', node: this.node, source: this, error });
  }

  protected override skipped(because: string): never {
    const error = new TaskSkippedError(this.node.id, because);
    this.#skip(error);
    throw error;
  }

  /** The work goes elsewhere: its clocks begin there. */
  #leave(): void {
    this.#timeouts?.stop();
    this.#timeouts = undefined;
    this.#waitsForWorker = true;
  }

  /** Does `work`; what it throws fails the attempt. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.failed(error);
    }
  }

  #work(): void {
    const { node } = this;
    const replay = node.extra?.replay;
    const inputs = node.streaming ? this.#streamed() : inputsOf(node);
    // One beside another must not wait for that one's result.
    const beside = node.principal !== node;
    if (node.definition.cache === undefined || node.streaming || beside || replay) this.#run(inputs);
    else this.#runOnce(inputs);
  }

  #armTimeouts(): void {
    const { node, ports } = this;
    const timeouts = timeoutsOf(node.definition.timeout, ports.settings.timeout);
    if (timeouts !== undefined) this.#timeouts = new AttemptTimeouts(ports.clock, this, timeouts);
  }

  get priority(): number {
    return this.node.priority;
  }

  onPriority(changed: () => void): void {
    this.raised = () => this.#guarded(changed);
  }

  /** A worker has begun with it; without `worker` it is not known which one. */
  begun(worker?: WorkerFacts): void {
    if (this.ended || !this.#waitsForWorker) return;
    this.#waitsForWorker = false;
    this.#armTimeouts();
    this.ports.begun(this.node, this, worker);
  }

  /** It is alive. */
  beat(): void {
    if (!this.ended) this.#timeouts?.beat();
  }

  /** Whoever subscribes late, or again, begins with the newest inputs, or, where each counts, with the first. */
  #streamed(): Observable<unknown> {
    const { node, ports } = this;
    const kept = node.extra?.kept;
    const replay = new ReplaySubject<unknown>(kept === undefined ? 1 : kept.most);
    this.#streams = inputs$(node, ports.turnEnd(node.depth)).subscribe(replay);
    const failed = (error: unknown): void => this.broke(faultOf(error, 'A subscriber of inputs'));
    return new GuardedStream(failed, (subscriber) => {
      if (kept === undefined || kept.inputs <= kept.most) return replay.subscribe(subscriber);
      subscriber.error(gone(node, kept, 'who subscribes so late would need the first of its inputs'));
      return undefined;
    });
  }

  #run(inputs: unknown): void {
    follow(this.ports.middleware.attempt(this.node, this, inputs), this);
  }

  /** Takes the result of the same work done before or going on elsewhere; works where there is none. */
  #runOnce(inputs: unknown, isInvalid = false): void {
    const entry = this.ports.cache.lookUp(this.node, inputs, this.given, isInvalid);
    if (entry.kind !== 'asked') this.#onCacheEntry(entry, inputs);
    else
      this.#cached = entry.entry$.subscribe((answer) =>
        this.#guarded(() => this.#onCacheEntry(answer, inputs)),
      );
  }

  #onCacheEntry(entry: CacheAnswer, inputs: unknown): void {
    const { node, ports } = this;
    const { kind, because } = entry;
    const reason = kind === 'lead' ? 'miss' : kind === 'wait' ? 'shared' : 'hit';
    if (ports.watch.active) ports.watch.emit({ type: 'cache', reason, taskId: node.id, because });
    if (kind === 'hit') {
      this.#paid = false;
      this.#check(entry.value, () => {
        this.#paid = true;
        this.#runOnce(inputs, true);
      });
    } else if (kind === 'wait') {
      // Without a slot meanwhile: the one that works may need it for a task it joins.
      let then = (): void => this.#workAfterAll(inputs);
      const { worker } = entry;
      const causes: WaitCause | 'elsewhere' =
        worker === 'elsewhere'
          ? worker
          : {
              what: `the result of "${truncate(worker.id)}"`,
              by: worker,
              needs: () => [worker],
              fail: (error) => this.failed(error),
            };
      const goOn = ports.waits.pause(node, () => this.ended || then(), causes);
      this.#cached = entry.result$.subscribe({
        next: (value) => {
          then = () => this.#known(value);
        },
        complete: goOn,
      });
    } else {
      this.#lead = entry;
      this.#run(inputs);
    }
  }

  /** Somebody else was called for it. */
  #known(value: unknown): void {
    this.#paid = false;
    this.succeeded(value);
  }

  /** The one that did the work has failed: this one may do it now. */
  #workAfterAll(inputs: unknown): void {
    this.#guarded(() => this.#runOnce(inputs));
  }

  /** After the turn: the body is in the midst of adding. */
  protected override complete(): void {
    this.ports.clock.after(0, () => {
      if (this.ended) return;
      const { taskId } = this;
      const message = `The replay of task "${truncate(taskId)}" has brought back all that was wanted.`;
      this.abort(new RxhiveError('ATTEMPT_ENDED', message, { details: { taskId } }));
      this.leaveStream?.();
      this.#accepted(this.node.value);
    });
  }

  override broke(error: RxhiveError): void {
    if (this.ended) return;
    this.abort(error);
    this.failed(error);
  }

  override stop(reason: RxhiveError): void {
    if (this.ended) return;
    this.#finish(reason);
    this.abort(reason);
    this.#signals.end();
  }

  get clock(): Clock {
    return this.ports.clock;
  }

  protected override still(still: boolean): void {
    this.#timeouts?.still(still);
  }

  streams(): void {
    this.node.item?.streams?.();
  }

  value(value: unknown): void {
    if (this.ended) return;
    this.begun();
    this.#timeouts?.beat();
    if (this.replaying !== undefined) return;
    if (this.calling) this.early += 1;
    this.#signals.emit({ kind: 'value', node: this.node, source: this, value });
  }

  succeeded(value: unknown): void {
    // Its committed result holds.
    if (this.node.extra?.replay !== undefined) {
      this.#accepted(this.node.value);
      return;
    }
    this.#check(value, (issues) =>
      this.failed(new InvalidResultError(this.node.id, issues, placesOf(issues))),
    );
  }

  /** Takes what the task's schema makes of a value as its result. */
  #check(value: unknown, invalid: (issues: InvalidResultError['issues']) => void): void {
    if (this.ended) return;
    const { result } = this.node.definition;
    if (result === undefined) {
      this.#accepted(value);
      return;
    }
    const decide = (found: Validation<unknown>): void => {
      if (this.ended) return;
      try {
        if ('issues' in found) invalid(found.issues);
        else {
          if (!Object.is(found.value, value)) this.returned = { value };
          this.#accepted(found.value);
        }
      } catch (error) {
        this.failed(error);
      }
    };
    settleMaybe(
      () => validate(result, value),
      decide,
      (error) => this.failed(error),
    );
  }

  #accepted(value: unknown): void {
    if (this.ended) return;
    if (!this.#paid) this.node.uncall();
    const called = this.node.extra?.replay?.handlers !== false;
    // What the body still holds of it, and may change, is not the result any more.
    this.#handle(called ? handlersOf(this.node, this.ports.handlers) : noHandlers, 0, copy(value));
  }

  /** Calls completion handlers one after the other, within the attempt: what they add commits with it. */
  #handle(handlers: readonly CompletionHandler[], at: number, value: unknown): void {
    for (let i = at; i < handlers.length; i++) {
      try {
        const answer = (handlers[i] as CompletionHandler)(copy(value), (first, second, data, options) => {
          const { id, definition } = addedBy(first, second, data, options);
          return this.add(id, definition, 'handler');
        });
        if (typeof (answer as PromiseLike<unknown> | undefined)?.then === 'function') {
          (answer as PromiseLike<unknown>).then(
            () => this.ended || this.#handle(handlers, i + 1, value),
            (error: unknown) => this.#handlerFailed(error),
          );
          return;
        }
      } catch (error) {
        this.#handlerFailed(error);
        return;
      }
    }
    this.#finish(undefined, true);
    this.#lead?.done(this.returned === undefined ? value : this.returned.value);
    this.#signals.end({ kind: 'succeeded', node: this.node, source: this, value });
  }

  #handlerFailed(thrown: unknown): void {
    const cause = readable(thrown, 'onTaskComplete');
    const message = `The onTaskComplete handler of task "${truncate(this.node.id)}" failed: ${messageOf(cause)}`;
    this.failed(new RxhiveError('HANDLER_FAILED', message, { cause, details: { taskId: this.node.id } }));
  }

  tornBadly(error: unknown): void {
    this.ports.failed(faultOf(error, `The teardown of task "${truncate(this.node.id)}"`));
  }

  failed(error: unknown): void {
    if (this.ended) return;
    this.#finish();
    const signal = afterFailure(this, readable(error, `Task "${truncate(this.node.id)}"`), this.ports);
    this.#signals.end(signal);
  }

  /** `committing`: what was read is still needed, the commit closes it. */
  #finish(reason?: RxhiveError, committing = false): void {
    this.end(reason, committing);
    if (!committing) this.#lead?.left();
    this.#timeouts?.stop();
    this.leaveStream?.();
    this.#cached?.unsubscribe();
    this.#streams?.unsubscribe();
    if (!committing) this.#dropCandidates(reason);
  }

  /** Nobody waits any more for what it tries. */
  #dropCandidates(reason: RxhiveError | undefined): void {
    const { principal } = this.node;
    for (const id of principal.extra?.joined ?? []) {
      const child = this.ports.graph.childOf(principal, id);
      if (child?.definition.candidate === true && !child.ended) this.ports.drop(child, reason);
    }
  }
}
