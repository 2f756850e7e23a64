import { ChoiceState } from '../graph/choice-state.js';
import type { Gate } from '../graph/gate.js';
import { ItemsEdge } from '../graph/items-edge.js';
import { Group, type Lane, Resource, type RunSlots } from '../graph/lane.js';
import { Edge, TaskNode } from '../graph/node.js';
import type { Expected } from '../graph/ports.js';
import { StreamEdge } from '../graph/stream-edge.js';
import {
  type DefinitionFault,
  inspect,
  RxhiveError,
  truncate,
  WorkflowDefinitionError,
} from '../kernel/errors.js';
import { unreadable } from '../kernel/read-once.js';
import { mostOf } from '../model/adaptive.js';
import { Choice, Dependency, type DependencyMode, readsStream, Task } from '../model/dependency.js';
import type { TaskDefinition } from '../model/task.js';
import type { OptionNames, WorkflowDefinition, WorkflowSettings } from '../model/workflow.js';
import { joinProblem, problemOf } from './dependency-faults.js';
import { Lanes } from './lanes.js';
import { controllerFaults, type Membership } from './membership.js';
import { orderAndRank, rankAgain } from './rank.js';
import { stageFaults } from './stages.js';
import { validateSettings, validateTask } from './validate.js';

/** The tasks of one run with everything they wait for. Grows while the run goes on. */
export class Graph {
  readonly nodes = new Map<string, TaskNode>();
  /** Groups by name, those of a controller among them. */
  readonly groups = new Map<string, Group>();
  readonly resources = new Map<string, Resource>();
  readonly slots: RunSlots;
  readonly settings: WorkflowSettings;
  readonly #names: OptionNames;
  readonly #owner: object;
  readonly #run: object;
  /** Of definitions that many tasks share. */
  readonly #lanesOfShared = new WeakMap<TaskDefinition, Lane>();
  /** Gates all tasks of the run have to pass; those of one group are in the group. */
  readonly gates: Gate[] = [];
  /** What is of this run alone. */
  readonly own: { readonly gates: Gate[]; readonly groups: ReadonlyMap<string, Group> };
  readonly #member: Membership;
  readonly #lanes: Lanes;
  readonly #expected: Expected;
  /** Nodes made so far; more than there are when items were forgotten. */
  #made = 0;

  /** `owner` and `run` made the handles that may be used here. */
  constructor(
    member: Membership,
    settings: WorkflowSettings,
    { owner, names }: Pick<WorkflowDefinition, 'owner' | 'names'>,
    run: object,
    expected: Expected,
  ) {
    this.#member = member;
    this.slots = member.slots;
    this.settings = settings;
    this.#lanes = new Lanes(member, this);
    this.#names = names;
    this.#expected = expected;
    this.#owner = owner;
    this.#run = run;
    const own = new Map<string, Group>();
    for (const [name, group] of Object.entries(settings.groups ?? {})) {
      const one = member.group(name) ?? new Group(name, mostOf(group.concurrency, Number.POSITIVE_INFINITY));
      this.groups.set(name, one);
      if (member.group(name) === undefined) own.set(name, one);
    }
    this.own = { gates: this.gates, groups: own };
    for (const [name, capacity] of Object.entries(settings.resources ?? {})) {
      const one = member.resource(name) ?? new Resource(name, capacity, this.resources.size);
      this.resources.set(name, one);
    }
  }

  /** @throws RxhiveError INVALID_OPTION when there is no such task */
  nodeOf(task: Task | string): TaskNode {
    const id = typeof task === 'string' ? task : task.id;
    const node = this.nodes.get(id);
    if (node !== undefined) return node;
    throw new RxhiveError('INVALID_OPTION', `There is no task ${inspect(id)} in this run; check the id.`);
  }

  /** A group of this run. @throws RxhiveError INVALID_OPTION when there is no such group */
  groupOf(name: string): Group {
    const group = this.own.groups.get(name);
    if (group !== undefined) return group;
    const message = this.groups.has(name)
      ? `Group ${inspect(name)} is one of the controller, for all of its runs; change it there.`
      : `There is no group ${inspect(name)}; use one of the workflow's groups.`;
    throw new RxhiveError('INVALID_OPTION', message);
  }

  /** How many tasks of a group, or of none, may run at once. */
  limitOf(name: string | undefined): number {
    const group = name === undefined ? undefined : this.groups.get(name);
    const { shared } = this.#member;
    return Math.min(group?.limit ?? Infinity, this.slots.limit, shared?.limit ?? Infinity);
  }

  /** The node of a handle, unless it is another workflow's. */
  find(task: Task): TaskNode | undefined {
    const node = this.nodes.get(task.id);
    const ours = task.owner === undefined || node?.handle === task || node?.handle.owner === task.owner;
    return ours ? node : undefined;
  }

  /** A task that `parent` has added before. */
  childOf(parent: TaskNode, id: string): TaskNode | undefined {
    const node = this.nodes.get(id);
    return node?.parent === parent ? node : undefined;
  }

  /** Ranks by what is known by now; nothing may have started. */
  rankAgain(): void {
    rankAgain([...this.nodes.values()], this.settings, this.#expected);
  }

  /** Makes nodes and edges of tasks; nothing is kept when there is a fault. */
  add(tasks: readonly TaskDefinition[], handles: readonly Task[]): TaskNode[] {
    const faults: DefinitionFault[] = [];
    const added: TaskNode[] = [];
    const candidates: TaskNode[] = [];
    for (let i = 0; i < handles.length; i++) {
      const handle = handles[i] as Task;
      const { id } = handle;
      const task = tasks[i] as TaskDefinition;
      const before = faults.length;
      try {
        validateTask(id, task, this.settings, faults, this.#names);
      } catch (error) {
        // Options of a class of the user's, whose getters throw.
        const message = `Task "${truncate(id)}": ${unreadable('', error)}`;
        faults.push({ kind: 'bad-option', taskId: id, message });
      }
      const known = this.nodes.has(id);
      if (known) {
        const message = `There are two tasks with the id "${truncate(id)}"; rename one.`;
        faults.push({ kind: 'duplicate-id', taskId: id, message });
      }
      if (known || typeof id !== 'string') continue;
      const lane = faults.length > before ? this.#lanes.plain : this.#lanes.of(id, task, faults);
      const node = new TaskNode(handle, task, this.#made++, lane);
      node.priority += this.#member.priority;
      this.nodes.set(id, node);
      added.push(node);
      if (task.candidate === true && lane.group !== undefined) candidates.push(node);
    }
    for (const node of added) {
      try {
        this.#connect(node, faults);
      } catch (error) {
        const message = `Task "${truncate(node.id)}": ${unreadable('dependencies', error)}`;
        faults.push({ kind: 'bad-option', taskId: node.id, message });
      }
    }
    if (faults.length === 0 || faults.every((fault) => fault.kind !== 'cycle'))
      orderAndRank(added, faults, this.settings, this.#expected);
    faults.push(...stageFaults(added));
    if (faults.length > 0) {
      for (const node of added) {
        this.nodes.delete(node.id);
        for (const edge of node.inEdges) unlink(edge);
      }
      throw new WorkflowDefinitionError(this.settings.name, faults);
    }
    for (const node of candidates) node.lane.group?.assign(node);
    return added;
  }

  /**
   * Makes the node of a task that depends on nothing. Of a definition that many tasks share it finds the faults once.
   * @throws WorkflowDefinitionError
   */
  addAlone(handle: Task, task: TaskDefinition): TaskNode {
    const { id } = handle;
    const lane = this.#lanesOfShared.get(task);
    const known = this.nodes.get(id);
    // One that has failed is kept for the report; whoever tries it again means the same.
    if (known?.ended === true) this.nodes.delete(id);
    if (lane === undefined || known !== undefined) {
      const [node] = this.add([task], [handle]) as [TaskNode];
      if (task.shared === true && !this.#member.isFair) this.#lanesOfShared.set(task, node.lane);
      return node;
    }
    const node = new TaskNode(handle, task, this.#made++, lane);
    node.priority += this.#member.priority;
    node.expected = node.rank = this.#expected(id, task) ?? 1;
    this.nodes.set(id, node);
    return node;
  }

  #connect(node: TaskNode, faults: DefinitionFault[]): void {
    const given = node.definition?.dependencies;
    if (given === undefined) return;
    if (typeof given !== 'object' || given === null) {
      this.#fault(
        faults,
        node,
        'bad-option',
        `has dependencies that are ${inspect(given)}; give a record or an array of tasks.`,
      );
      return;
    }
    const tuple = Array.isArray(given);
    const names = tuple ? undefined : Object.keys(given);
    const count = names?.length ?? (given as readonly unknown[]).length;
    let edges: Edge[] = new Array(count);
    let connected = 0;
    let pending = 0;
    for (let i = 0; i < count; i++) {
      const key = names?.[i];
      const item: unknown =
        key === undefined ? (given as readonly unknown[])[i] : (given as Record<string, unknown>)[key];
      // Most are: no need to ask what else they may be.
      const isTask = item instanceof Task;
      if (!isTask && item instanceof Choice) {
        const choice = this.#choiceOf(node, item, faults);
        if (choice === undefined) continue;
        edges = edges.slice(0, connected);
        for (const task of item.tasks) {
          const from = this.#dependencyOf(node, task, faults);
          if (from !== undefined) choice.edges.push(new Edge(from, node, item.mode, key, choice));
        }
        connected = edges.push(...choice.edges);
        pending += 1;
        continue;
      }
      const dependency = !isTask && item instanceof Dependency ? item : undefined;
      const from = this.#dependencyOf(node, dependency === undefined ? item : dependency.task, faults);
      if (from === undefined) continue;
      const mode = dependency === undefined ? 'value' : dependency.mode;
      edges[connected++] = edgeOf(from, node, mode, key, dependency);
      // Of those that are merged the first is enough to start.
      if (mode === 'merged' && (node.extra?.kept?.size ?? 0) > 1) continue;
      pending += 1;
    }
    edges.length = connected;
    const problem = node.streaming ? joinProblem(edges) : undefined;
    if (problem !== undefined) this.#fault(faults, node, 'bad-option', problem);
    node.inEdges = edges;
    node.pending = pending;
  }

  /** The task a handle means; a fault where it means none of this run. */
  #dependencyOf(node: TaskNode, handle: unknown, faults: DefinitionFault[]): TaskNode | undefined {
    if (!(handle instanceof Task)) {
      const message = `depends on ${inspect(handle)}; give ${this.#names.dependency}.`;
      return this.#fault(faults, node, 'unknown-dependency', message);
    }
    if (handle.owner !== undefined && handle.owner !== this.#owner && handle.owner !== this.#run) {
      const message = `depends on "${truncate(handle.id)}" of another workflow; use a task of this one.`;
      return this.#fault(faults, node, 'foreign-dependency', message);
    }
    const from = this.nodes.get(handle.id);
    if (from !== undefined) return from;
    const message = `depends on "${truncate(handle.id)}", which does not exist; add it or correct the id.`;
    return this.#fault(faults, node, 'unknown-dependency', message);
  }

  #choiceOf(
    node: TaskNode,
    { mode, need, tasks }: Choice,
    faults: DefinitionFault[],
  ): ChoiceState | undefined {
    const problem = problemOf(need, tasks);
    if (problem === undefined) return new ChoiceState(mode, need);
    this.#fault(faults, node, 'bad-option', `has a ${mode} ${problem}`);
    return undefined;
  }

  #fault(
    faults: DefinitionFault[],
    node: TaskNode,
    kind: DefinitionFault['kind'],
    message: string,
  ): undefined {
    faults.push({ kind, taskId: node.id, message: `Task "${truncate(node.id)}" ${message}` });
  }
}

function edgeOf(
  from: TaskNode,
  to: TaskNode,
  mode: DependencyMode,
  key: string | undefined,
  dependency: Dependency | undefined,
): Edge {
  if (readsStream(mode)) return new StreamEdge(from, to, mode, key, dependency?.capacity);
  if (mode === 'items') return new ItemsEdge(from, to, key);
  return new Edge(from, to, mode, key, dependency?.fallback);
}

function unlink(edge: Edge): void {
  let link: Edge | undefined = edge.from.firstOut;
  if (link === edge) edge.from.firstOut = edge.nextOut;
  for (; link !== undefined; link = link.nextOut) if (link.nextOut === edge) link.nextOut = edge.nextOut;
}

/**
 * The plan stage: a definition becomes the graph of a run, ranked by what tasks are expected to take. `member`: what the
 * run has, and what it shares.
 * @throws WorkflowDefinitionError with all faults at once.
 */
export function plan(
  definition: WorkflowDefinition,
  run: object,
  member: Membership,
  expected: Expected = estimated,
): Graph {
  const settingFaults = validateSettings(definition.settings, definition.names);
  if (member.shared !== undefined) settingFaults.push(...controllerFaults(definition, member.shared));
  const safe = settingFaults.length === 0;
  const known = [...definition.faults, ...settingFaults];
  const graph = new Graph(
    member,
    safe ? member.settings : withoutNumbers(member.settings),
    definition,
    run,
    expected,
  );
  try {
    graph.add(definition.tasks, definition.handles);
  } catch (error) {
    if (!(error instanceof WorkflowDefinitionError) || known.length === 0) throw error;
    throw new WorkflowDefinitionError(String(definition.settings.name), [...known, ...error.faults]);
  }
  if (known.length > 0) throw new WorkflowDefinitionError(String(definition.settings.name), known);
  return graph;
}

const estimated: Expected = (_, definition) => definition.estimate;

/** Settings with faults still have to name the groups, or each task in one would be a fault of its own. */
function withoutNumbers(settings: WorkflowSettings): WorkflowSettings {
  const groups = Object.fromEntries(Object.keys(settings.groups ?? {}).map((name) => [name, {}]));
  const { limiter: _, ...rest } = settings;
  return { ...rest, groups };
}
