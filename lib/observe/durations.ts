import type { TaskNode } from '../graph/node.js';
import type { Expected } from '../graph/ports.js';
import { Ewma } from '../kernel/ewma.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import { type MaybePromise, settleMaybe, thenMaybe } from '../kernel/maybe-promise.js';
import type { ResolvedRunOptions } from '../model/run-options.js';
import type { CheckpointStore } from '../model/store.js';
import type { TaskDefinition } from '../model/task.js';
import type { WorkflowDefinition } from '../model/workflow.js';
import { Eta, type RunProgress } from './eta.js';

/** What the runs of a workflow have taught about one type of task. */
export interface LearntDuration {
  /** Running time of a task that succeeded, all its attempts together; newer ones weigh more. */
  readonly meanMs: number;
  /** Standard deviation. */
  readonly deviationMs: number;
  /** How many were seen. */
  readonly count: number;
}

/** Ids without a type are learnt up to this many: of a graph too large to come again there is nothing to learn. */
const mostIds = 10_000;

/** How long tasks take, by type; kept over runs with the workflow, and in the store where there is one. */
export class Durations {
  /** A number: the one duration seen so far. Most ids come once, and then need no more. */
  readonly #byType = new Map<string, Ewma | number>();
  /** Ids without a type and their durations, in the order in which they were seen: put in place when somebody asks. */
  #newIds: string[] = [];
  #newMs: number[] = [];
  readonly #loaded = new WeakSet<CheckpointStore>();

  /** Expected running time in ms; undefined: nothing is known. */
  expected(id: string, definition: TaskDefinition): number | undefined {
    if (definition.estimate !== undefined || this.#known.size === 0) return definition.estimate;
    const known = this.#byType.get(definition.type ?? id);
    return typeof known === 'object' ? known.mean : known;
  }

  /** A task has ended. `defined`: it belongs to the definition, so its id comes again in the next run. */
  learn(node: TaskNode, defined: boolean): void {
    if (node.status !== 'succeeded') return;
    const { type } = node.definition;
    if (type !== undefined) this.#note(type, node.runningMs, true);
    else if (!defined) this.#note(node.id, node.runningMs, false);
    else {
      this.#newIds.push(node.id);
      this.#newMs.push(node.runningMs);
    }
  }

  #note(key: string, ms: number, isNew: boolean): void {
    const known = this.#byType.get(key);
    if (typeof known === 'object') known.add(ms);
    else if (known !== undefined) {
      const ewma = ewmaOf(known);
      ewma.add(ms);
      this.#byType.set(key, ewma);
    } else if (isNew) this.#byType.set(key, ms);
  }

  #place(): void {
    const ids = this.#newIds;
    const ms = this.#newMs;
    this.#newIds = [];
    this.#newMs = [];
    for (let i = 0; i < ids.length; i++)
      this.#note(ids[i] as string, ms[i] as number, this.#byType.size < mostIds);
  }

  get #known(): ReadonlyMap<string, Ewma | number> {
    if (this.#newIds.length > 0) this.#place();
    return this.#byType;
  }

  get learnt(): ReadonlyMap<string, LearntDuration> {
    return new Map(
      [...this.#known].map(([type, known]) => {
        const { mean, variance, count } = ewmaOf(known);
        return [type, { meanMs: mean, deviationMs: Math.sqrt(variance), count }];
      }),
    );
  }

  /**
   * Takes over what a store knows and this process does not; once for each store. `news` is called if there was
   * anything, at once where the store answers at once.
   */
  load(store: CheckpointStore, workflow: string, news: () => void): void {
    if (this.#loaded.has(store)) return;
    this.#loaded.add(store);
    settleMaybe(
      () => store.get(keyOf(workflow)),
      (text) => {
        const known = read(text).filter(([type]) => !this.#known.has(type));
        for (const [type, ewma] of known) this.#byType.set(type, ewma);
        if (known.length > 0) news();
      },
      () => undefined,
    );
  }

  /** Keeps what is known; what other processes have learnt about other types stays. A store that fails keeps nothing. */
  save(store: CheckpointStore, workflow: string): void {
    if (this.#known.size === 0) return;
    const key = keyOf(workflow);
    const put = (text: string | undefined): MaybePromise<void> => {
      const all = [...new Map([...read(text), ...this.#known])];
      const numbers = all.map(([type, known]) => {
        const { count, mean, variance } = ewmaOf(known);
        return [type, [count, mean, variance]];
      });
      return store.put(key, JSON.stringify(Object.fromEntries(numbers)));
    };
    const forget = (): void => undefined;
    settleMaybe(() => thenMaybe(store.get(key), put), forget, forget);
  }
}

/** What one run takes from and gives to what is known. */
export class Learning {
  readonly expected: Expected;
  readonly #definition: WorkflowDefinition;
  readonly #durations: Durations;
  readonly #store: CheckpointStore | undefined;
  readonly #learns: boolean;
  readonly #eta = new Eta();

  constructor(definition: WorkflowDefinition, options: ResolvedRunOptions) {
    this.#definition = definition;
    this.#durations = durationsOf(definition.durationsKey);
    this.#learns = options.learn ?? options.scheduler === undefined;
    this.#store = this.#learns ? options.store : undefined;
    this.expected = this.#learns
      ? (id, task) => this.#durations.expected(id, task)
      : (_, task) => task.estimate;
  }

  /** Asks the store; nobody waits for what it has to say. */
  begin(news: () => void): void {
    if (this.#store !== undefined) this.#durations.load(this.#store, this.#definition.settings.name, news);
  }

  /** Ms until the run ends; see {@link Eta}. */
  eta(nodes: ReadonlyMap<string, TaskNode>, progress: RunProgress): number | undefined {
    return this.#eta.of(nodes, progress, ({ id, definition }) => this.expected(id, definition));
  }

  ended(node: TaskNode): void {
    if (this.#learns) this.#durations.learn(node, node.seq < this.#definition.ids.length);
  }

  runEnded(): void {
    if (this.#store !== undefined) this.#durations.save(this.#store, this.#definition.settings.name);
  }
}

const memories = new WeakMap<object, Durations>();

/** What is known by one workflow, or whatever else `memory` is. */
export function durationsOf(memory: object): Durations {
  return getOrInsert(memories, memory, () => new Durations());
}

function ewmaOf(known: Ewma | number): Ewma {
  return typeof known === 'object' ? known : new Ewma(undefined, 1, known);
}

function keyOf(workflow: string): string {
  return `durations ${workflow}`;
}

/** Damaged or foreign text teaches nothing. */
function read(text: string | undefined): [string, Ewma][] {
  if (text === undefined) return [];
  try {
    const found = Object.entries(JSON.parse(text) as Record<string, readonly number[]>);
    return found
      .filter(([, numbers]) => numbers.length === 3 && numbers.every((n) => Number.isFinite(n) && n >= 0))
      .map(([type, [count, mean, variance]]) => [type, new Ewma(undefined, count, mean, variance)]);
  } catch {
    return [];
  }
}
