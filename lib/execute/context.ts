import { firstValueFrom, of } from 'rxjs';
import type { Messaging } from '../graph/mailbox.js';
import type { AttemptHandle, Spawned, TaskNode } from '../graph/node.js';
import type { Asker } from '../graph/ports.js';
import { addedIn, changeIn, meant, readIn, scopeOf } from '../graph/scope.js';
import { copy } from '../kernel/copy.js';
import { inspect, RxhiveError, truncate } from '../kernel/errors.js';
import { faultOf } from '../kernel/guard.js';
import { settleMaybe } from '../kernel/maybe-promise.js';
import type {
  AskOptions,
  Inbox,
  ReceiveOneOptions,
  ReceiveOptions,
  Request,
  SendOptions,
} from '../model/channel.js';
import type {
  GroupState,
  Reads,
  Recipe,
  Shared,
  SleepOptions,
  TaskContext,
  Usage,
} from '../model/context.js';
import { Task } from '../model/dependency.js';
import { addedBy } from '../model/executor.js';
import { Question } from '../model/question.js';
import type { Scope } from '../model/scope.js';
import type { TaskDefinition, TypedTaskOptions } from '../model/task.js';
import { Additions } from './additions.js';
import { joined } from './inputs.js';
import { joinTargets, noteJoined, shapeOf } from './join-targets.js';
import { freesSlot, waitOutside } from './outside.js';
import type { ExecutePorts } from './ports.js';
import { AttemptPromises, type Begin } from './promises.js';
import { report, tell } from './usage.js';

const atOnce = firstValueFrom(of(undefined));
/** The part of an attempt its body sees as `ctx`. Everything costly is made on first touch. */
export abstract class AttemptContext implements TaskContext<unknown, unknown>, AttemptHandle {
  readonly node: TaskNode;
  readonly ports: ExecutePorts;
  readonly attempt: number;
  recipes: Recipe<never>[] | undefined;
  #additions: Additions | undefined;
  #scope: { readonly is: Scope | undefined } | undefined;
  returned: { readonly value: unknown } | undefined;
  reads: Reads | undefined;
  ended = false;
  #input: { readonly own: unknown } | undefined;
  #carrier: Record<string, string> | undefined;
  #messaging: Messaging | undefined;
  #abort: AbortController | undefined;
  #reason: RxhiveError | undefined;
  #promises: AttemptPromises | undefined;
  #stops: ((reason: unknown) => void)[] | undefined;
  /** Uses of shared things, and questions, that are not over: who waits for a person must not keep others waiting. */
  #uses = 0;
  #questions = 0;

  constructor(node: TaskNode, ports: ExecutePorts) {
    this.node = node;
    this.ports = ports;
    this.attempt = node.attempt;
    // Who writes meanwhile is noted from now on.
    if (node.definition.writes === 'exclusive') this.reads = ports.state.reads();
  }

  get spawned(): Spawned[] | undefined {
    return this.#additions?.spawned;
  }

  /** The nested workflow it is part of. */
  protected get scope(): Scope | undefined {
    this.#scope ??= { is: scopeOf(this.node) };
    return this.#scope.is;
  }

  abstract early: number;
  abstract readonly raised: (() => void) | undefined;
  abstract stop(reason: RxhiveError): void;
  /** With a replay: all that was wanted has come back. */
  protected abstract complete(): void;
  /** Code of the body threw where nobody but its task can hear it. */
  protected abstract broke(error: RxhiveError): void;
  /** Ends attempt and task: it was decided that it does not run. */
  protected abstract skipped(because: string): never;
  /** Stops the clocks of the attempt while people are asked, or lets them go on. */
  protected abstract still(still: boolean): void;

  get taskId(): string {
    return this.node.id;
  }

  get runId(): string {
    return this.ports.runId;
  }

  get input(): unknown {
    this.#input ??= { own: copy(this.given) };
    return this.#input.own;
  }

  /** The input of the workflow it is part of. */
  protected get given(): unknown {
    const { scope, ports } = this;
    return scope === undefined ? ports.input : ports.graph.find(new Task(scope.begin))?.value;
  }

  get replaying(): { readonly value: unknown } | undefined {
    const replay = this.node.extra?.replay;
    return replay === undefined ? undefined : { value: this.node.value };
  }

  get restarted(): boolean {
    return this.ports.restarted(this.node.id);
  }

  get idempotencyKey(): string {
    // The first slash ends the id of the run: run "a" with task "b/c" is not run "a/b" with task "c".
    return `${this.ports.runId.replaceAll('%', '%25').replaceAll('/', '%2F')}/${this.node.id}`;
  }

  get carrier(): Record<string, string> {
    this.#carrier ??= {};
    return this.#carrier;
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = this.ports.controller();
      if (this.#reason !== undefined) this.#abort.abort(this.#reason);
    }
    return this.#abort.signal;
  }

  onStop(stopped: (reason: unknown) => void): void {
    if (this.#reason !== undefined) stopped(this.#reason);
    else this.#stops = [...(this.#stops ?? []), stopped];
  }

  update(recipe: Recipe<unknown>): void {
    this.#alive('update');
    if (typeof recipe !== 'function') {
      throw new RxhiveError(
        'INVALID_OPTION',
        `ctx.update got ${inspect(recipe)}; give a function that changes the draft.`,
      );
    }
    const change = changeIn(this.scope, recipe as Recipe<never>);
    if (this.recipes === undefined) this.recipes = [change];
    else this.recipes.push(change);
  }

  read<T>(given?: (state: never) => T): T {
    if (given !== undefined && typeof given !== 'function') {
      throw new RxhiveError('INVALID_OPTION', `ctx.read got ${inspect(given)}; give a function or nothing.`);
    }
    const select = readIn(this.scope, given);
    if (this.node.definition.isolation !== 'serializable') {
      const state = this.ports.state.preview(this.recipes);
      return select === undefined ? (state as T) : select(state as never);
    }
    this.#alive('read');
    this.reads ??= this.ports.state.reads();
    return this.reads.read(this.ports.state.preview(this.recipes, this.reads.snapshot), select);
  }

  shared(name: string): Shared {
    return { use: (fn) => this.#use(name, fn) };
  }

  spawn(first: unknown, second: unknown, data?: unknown, options?: TypedTaskOptions): Task<never> {
    const { id, definition } = addedBy(first, second, data, options);
    return this.add(id, definition) as Task<never>;
  }

  /** Buffers a task the body or a handler adds. */
  protected add(id: string, definition: TaskDefinition, by?: 'handler'): Task {
    this.#alive('spawn');
    const { scope } = this;
    const one = scope === undefined ? { id, definition } : addedIn(scope, id, definition);
    this.#additions ??= new Additions(this.node, this.ports, () => this.complete());
    return this.#additions.add(one.id, one.definition, by);
  }

  skip(reason = 'its body said so'): never {
    this.#alive('skip');
    return this.skipped(String(reason));
  }

  join(tasks: unknown): Promise<never> {
    this.#alive('join');
    this.#additions?.flush();
    const { scope } = this;
    const shape = shapeOf(tasks);
    const targets = joinTargets(tasks, shape, this.node, (task) => this.ports.graph.find(meant(scope, task)));
    noteJoined(this.node, targets);
    return this.#promise((resolve, reject) => {
      const nodes = targets.map(({ node }) => node);
      const over = this.ports.locks.joins(this.node, nodes);
      this.ports.waits.join(this.node, nodes, (error) => {
        if (error !== undefined) return reject(error);
        try {
          resolve(joined(targets, shape));
        } catch (failure) {
          this.node.more().joinError = failure;
          reject(failure);
        }
      });
      return over;
    }) as Promise<never>;
  }

  ask(whom: unknown, value?: unknown, options?: AskOptions<never>): Promise<never> {
    this.#alive('ask');
    if (whom instanceof Question) return this.#askPeople(whom) as Promise<never>;
    if (whom instanceof Task || typeof whom === 'string')
      return this.#talk('ask').ask(whom, value, options) as Promise<never>;
    const message = `ctx.ask got ${inspect(whom)}; give human(schema, prompt), or a task and a message.`;
    throw new RxhiveError('INVALID_OPTION', message);
  }

  send(channel: unknown, value: unknown, options?: SendOptions): Promise<never> {
    return this.#talk('send').send(channel, value, options) as Promise<never>;
  }

  receive(channel: unknown, options?: ReceiveOneOptions): Promise<never> {
    return this.#talk('receive').receive(channel, options) as Promise<never>;
  }

  receive$(channel: unknown, options?: ReceiveOptions): Inbox<never> {
    return this.#talk('receive$').receive$(channel, options) as Inbox<never>;
  }

  requests$(options?: ReceiveOptions): Inbox<Request<never>> {
    return this.#talk('requests$').requests$(options) as Inbox<Request<never>>;
  }

  #talk(what: string): Messaging {
    this.#alive(what);
    this.#messaging ??= this.ports.messaging(this.node, {
      promise: (begin) => this.#promise(begin as never) as Promise<never>,
      alive: (part) => this.#alive(part),
      failed: (error) => this.broke(faultOf(error, 'A subscriber of messages')),
      flush: () => this.#additions?.flush(),
    });
    return this.#messaging;
  }

  #askPeople<T>(question: Question<T>): Promise<T> {
    this.#apart(this.#uses);
    return this.#promise((resolve, reject) => {
      let waited: ((done: () => void) => void) | undefined;
      const tell = (done: () => void): void => {
        if (waited === undefined) done();
        else
          waited(() => {
            this.#questions -= 1;
            if (this.#questions === 0 && !this.ended) this.still(false);
            done();
          });
      };
      const asker: Asker = {
        node: this.node,
        source: this,
        waits: (questionId, from) => {
          this.#questions += 1;
          if (this.#questions === 1) this.still(true);
          waited = this.ports.waits.waitForAnswer(this.node, questionId, from);
        },
        answered: (value) => tell(() => resolve(value)),
        failed: (error) => tell(() => reject(error)),
      };
      return this.ports.ask(asker, question);
    }) as Promise<T>;
  }

  outside<T>(work: PromiseLike<T> | (() => PromiseLike<T>)): Promise<T> {
    this.#alive('outside');
    return this.#promise((resolve, reject) => {
      waitOutside(work, (done) => this.#pause(done), { resolve, reject });
      return undefined;
    }) as Promise<T>;
  }

  sleep(ms: number, options?: SleepOptions): Promise<void> {
    this.#alive('sleep');
    const frees = freesSlot(ms, options);
    return this.#promise((resolve) => {
      const done = (): void => resolve(undefined);
      const timer = this.ports.clock.after(ms, frees ? this.#pause(done) : done);
      return () => this.ports.clock.cancel(timer);
    }) as Promise<void>;
  }

  /** Without a slot until the returned function is called, by something outside of the run. */
  #pause(done: () => void): () => void {
    return this.ports.waits.pause(this.node, done, 'elsewhere');
  }

  breathe(): Promise<void> {
    this.#alive('breathe');
    let done: (() => void) | undefined;
    const forget = this.ports.clock.breathe(() => done?.());
    if (forget === undefined) return atOnce;
    return this.#promise((resolve) => {
      done = () => resolve(undefined);
      return forget;
    }) as Promise<void>;
  }

  usage(usage: Usage): void {
    report(this.node, usage, this.ports.settings.prices, this.ports.watch);
  }

  limits(headers: unknown): void {
    this.ports.onHeaders(this.node, headers);
  }

  group(name: string): GroupState {
    return this.ports.graph.groupOf(name).state;
  }

  log(message: string, data?: unknown): void {
    tell(this.node, message, data, this.ports.watch);
  }

  /** Nothing the attempt does after this has an effect. */
  protected end(reason: RxhiveError | undefined, committing = false): void {
    this.ended = true;
    if (!committing) this.reads?.close();
    this.#reason ??= reason;
    this.#messaging?.close();
    this.#promises?.end(() => this.#reason ?? this.#late('wait'));
  }

  /** Tells the body why it has to stop. */
  protected abort(reason: RxhiveError): void {
    this.#reason = reason;
    this.#abort?.abort(reason);
    for (const stopped of this.#stops ?? []) stopped(reason);
  }

  #use<T>(name: string, fn: () => T | PromiseLike<T>): Promise<T> {
    this.#alive('shared');
    this.#apart(this.#questions);
    const { locks } = this.ports;
    return this.#promise((resolve, reject) => {
      this.#uses += 1;
      const run = (): void => settleMaybe(() => ticket.use(fn), resolve, reject);
      let goOn: (() => void) | undefined;
      const ticket = locks.acquire(name, this.node, () => goOn?.(), reject);
      if (ticket.held) run();
      else goOn = this.ports.waits.pause(this.node, run, ticket);
      return () => {
        this.#uses -= 1;
        ticket.release();
      };
    }) as Promise<T>;
  }

  #apart(others: number): void {
    if (others === 0) return;
    const message = `Task "${truncate(this.node.id)}" asks a person while it uses, or waits for, a shared thing: others would wait for the person. Ask before or after ctx.shared.`;
    throw new RxhiveError('INVALID_OPTION', message, { details: { taskId: this.node.id } });
  }

  #alive(what: string): void {
    if (this.ended) throw this.#late(what);
  }

  #late(what: string): RxhiveError {
    const message = `Attempt ${this.attempt} of task "${truncate(this.node.id)}" has ended; ctx.${what} has no effect. Check ctx.signal.`;
    return new RxhiveError('ATTEMPT_ENDED', message, { cause: this.#reason });
  }

  /** A promise that also ends with the attempt. */
  #promise(begin: Begin): Promise<unknown> {
    this.#promises ??= new AttemptPromises();
    return this.#promises.make(begin);
  }
}
