import { contentText } from '../codec/canonical.js';
import { mapped, placed } from '../graph/scope.js';
import { copy } from '../kernel/copy.js';
import { type DefinitionFault, inspect, truncate } from '../kernel/errors.js';
import { isRecord, reservedNames } from '../kernel/plain.js';
import {
  type Dependencies,
  Dependency,
  dependedOn,
  isChoice,
  needsSuccess,
  Task,
} from '../model/dependency.js';
import type { AnyNestable } from '../model/nested.js';
import type { NestedDefinition, Scope } from '../model/scope.js';
import type { TaskDefinition, TypeMaker } from '../model/task.js';
import type { CompletionHandler, WorkflowDefinition, WorkflowSettings } from '../model/workflow.js';
import { type EndContext, endOf } from './nested-result.js';

/** Under this name the input of a nested workflow is among the dependencies of its tasks; it is no input of theirs. */
const beginName = 'input of the workflow';

/** What only a run as a whole has, and what to do instead within it. */
const ofRuns: readonly (readonly [keyof WorkflowSettings, string])[] = [
  ['limiter', 'give it to a group'],
  ['budget', 'give it to a group'],
  ['retryBudget', 'give it to the outer workflow'],
  ['middleware', 'give it to the outer workflow'],
];

/** Options of a task that is a workflow; all others are for the tasks inside. */
const options: ReadonlySet<string> = new Set([
  'nested',
  'dependencies',
  'when',
  'priority',
  'tolerate',
  'type',
]);

/**
 * A workflow with the tasks of nested ones in the place of those that are workflows: `ID.input`, whose result is the input,
 * the tasks as `ID/...`, and `ID`, whose result is made of theirs. So they are tasks like others: one log, one set of limits.
 */
export function expanded(definition: WorkflowDefinition): WorkflowDefinition {
  return definition.tasks.some((task) => task?.nested !== undefined)
    ? new Expansion(definition).whole()
    : definition;
}

class Expansion {
  readonly #root: WorkflowDefinition;
  readonly #ids: string[] = [];
  readonly #tasks: TaskDefinition[] = [];
  readonly #handles: Task[] = [];
  readonly #faults: DefinitionFault[];
  readonly #handlers: Map<string, readonly CompletionHandler[]>;
  readonly #types: Map<string, TypeMaker>;
  readonly #groups: Record<string, NonNullable<WorkflowSettings['groups']>[string]>;
  readonly #resources: Record<string, number>;
  #prices: NonNullable<WorkflowSettings['prices']> | undefined;
  /** Workflows that are being expanded, the outermost first. */
  readonly #within: object[] = [];

  constructor(root: WorkflowDefinition) {
    const { settings } = root;
    this.#root = root;
    this.#faults = [...root.faults];
    this.#handlers = new Map(root.handlers);
    this.#types = new Map(root.types);
    this.#groups = { ...settings.groups };
    this.#resources = { ...settings.resources };
    this.#prices = settings.prices;
  }

  whole(): WorkflowDefinition {
    const state = this.#add(this.#root, undefined);
    const settings = {
      ...this.#root.settings,
      ...(state !== undefined && { state }),
      ...(Object.keys(this.#groups).length > 0 && { groups: this.#groups }),
      ...(Object.keys(this.#resources).length > 0 && { resources: this.#resources }),
      ...(this.#prices !== undefined && { prices: this.#prices }),
    };
    return {
      ...this.#root,
      settings,
      faults: this.#faults,
      ids: this.#ids,
      tasks: this.#tasks,
      handles: this.#handles,
      handlers: this.#handlers,
      types: this.#types,
    };
  }

  /** Adds the tasks of a workflow; returns its state with the states of those within it. */
  #add(definition: WorkflowDefinition, scope: Scope | undefined): unknown {
    this.#within.push(definition.owner);
    const states: Record<string, unknown> = {};
    definition.tasks.forEach((task, i) => {
      const local = definition.ids[i] as string;
      const id = scope === undefined ? local : `${scope.prefix}${local}`;
      const handle = scope === undefined ? (definition.handles[i] as Task) : new Task(id, this.#root.owner);
      const own = scope === undefined ? task : this.#moved(task, local, definition, scope);
      if (task?.nested === undefined) this.#push(id, handle, own);
      else {
        const state = this.#nest({ id, local, handle, given: task, task: own, outer: scope });
        if (state !== undefined) states[local] = state;
      }
    });
    this.#within.pop();
    return this.#merged(definition, states);
  }

  #push(id: string, handle: Task, task: TaskDefinition): void {
    this.#ids.push(id);
    this.#tasks.push(task);
    this.#handles.push(handle);
  }

  /** A task of a nested workflow with an id, dependencies and options of the run. */
  #moved(
    task: TaskDefinition,
    local: string,
    { settings, owner }: WorkflowDefinition,
    scope: Scope,
  ): TaskDefinition {
    if (typeof task !== 'object' || task === null) return task;
    const dependencies = mapped(task.dependencies, (one) => this.#inside(one, owner, scope));
    // It needs the success of another task, which begins after the input.
    const isBehind = dependedOn(task.dependencies).some(({ mode }) => isChoice(mode) || needsSuccess(mode));
    return placed(scope, {
      ...task,
      type: task.type ?? `${settings.name}/${local}`,
      dependencies: isBehind ? dependencies : after(dependencies, this.#begin(scope)),
    });
  }

  #inside(task: Task, owner: object, { prefix }: Scope): Task {
    const isOurs = task.owner === owner || task.owner === undefined;
    return isOurs ? new Task(`${prefix}${task.id}`, this.#root.owner) : task;
  }

  #begin({ begin }: Scope): Dependency {
    return new Dependency(new Task(begin, this.#root.owner), 'after');
  }

  /** Adds what a task that is a workflow stands for; returns that one's state. */
  #nest({ id, local, handle, given, task, outer }: Place): unknown {
    const nested = given.nested as NestedDefinition;
    const definition = this.#definitionOf(id, nested);
    if (definition === undefined) return undefined;
    const { settings } = definition;
    this.#check(id, given, definition);
    const scope: Scope = {
      prefix: `${id}/`,
      begin: `${id}.input`,
      owner: definition.owner,
      state: this.#pathOf(definition, outer, local),
      ...this.#limitsOf(id, task.priority, outer, settings),
    };
    this.#share(id, definition);
    const dependencies = task.dependencies ?? {};
    const { input } = nested;
    this.#push(scope.begin, new Task(scope.begin, this.#root.owner), {
      dependencies,
      type: `${settings.name}/input`,
      priority: scope.priority,
      version: typeof input === 'function' ? String(input) : `input ${contentText(input)}`,
      result: settings.input,
      ...(task.when !== undefined && { when: task.when }),
      run: (inputs: unknown) => (typeof input === 'function' ? input(inputs) : copy(input)),
      within: id,
      ...(outer !== undefined && { scope: outer }),
    });
    const state = this.#add(definition, scope);
    for (const [key, handlers] of definition.handlers) {
      const at = key.indexOf(':') + 1;
      this.#handlers.set(`${key.slice(0, at)}${scope.prefix}${key.slice(at)}`, handlers);
    }
    for (const [name, make] of definition.types)
      this.#types.set(`${scope.prefix}${name}`, (one) => placed(scope, make(one)));
    const inside = (one: Task): Task => this.#inside(one, definition.owner, scope);
    const end = endOf(definition, nested.output, inside, (message) => this.#fault(id, message));
    this.#push(id, handle, {
      dependencies: [...end.dependencies, this.#begin(scope)],
      type: task.type ?? settings.name,
      priority: scope.priority,
      ...(task.tolerate !== undefined && { tolerate: task.tolerate }),
      retry: 0,
      version: 'the end of a workflow',
      run: (values: readonly unknown[], ctx: EndContext) => end.result(values, ctx),
      within: id,
      ...(outer !== undefined && { scope: outer }),
    });
    return state;
  }

  #fault(taskId: string, message: string): undefined {
    this.#faults.push({ kind: 'bad-option', taskId, message: `Task "${truncate(taskId)}": ${message}` });
  }

  #definitionOf(id: string, nested: NestedDefinition): WorkflowDefinition | undefined {
    const definition = definitionOf(nested);
    if (definition === undefined)
      return this.#fault(id, `workflow is ${inspect(nested.workflow)}; give what workflow() returned.`);
    if (!this.#within.includes(definition.owner)) return definition;
    const { name } = definition.settings;
    return this.#fault(
      id,
      `workflow "${truncate(name)}" is nested in itself, which would have no end; leave it out.`,
    );
  }

  #check(id: string, task: TaskDefinition, { settings, faults }: WorkflowDefinition): void {
    this.#faults.push(...faults);
    const name = `workflow "${truncate(settings.name)}"`;
    for (const [option, value] of Object.entries(task))
      if (value !== undefined && !options.has(option))
        this.#fault(
          id,
          `${truncate(option)} is no option of a task that is a workflow; give it to the tasks of ${name}.`,
        );
    for (const [option, instead] of ofRuns)
      if (settings[option] !== undefined)
        this.#fault(id, `${option} of ${name} has no effect where it is nested; ${instead}.`);
    const outer = this.#root.settings;
    if (settings.failurePolicy === 'fail-fast' && outer.failurePolicy !== 'fail-fast')
      this.#fault(
        id,
        `failurePolicy "fail-fast" of ${name} would end the whole run; give it to the outer workflow too, or leave it out.`,
      );
    if (settings.controller !== undefined && settings.controller !== outer.controller)
      this.#fault(id, `${name} has another controller than the run; give both the same.`);
    if (typeof settings.concurrency === 'object')
      this.#fault(
        id,
        `concurrency of ${name} is adaptive, which a nested workflow cannot be; give it to a group.`,
      );
    if (task.priority !== undefined && !Number.isFinite(task.priority))
      this.#fault(id, `priority is ${inspect(task.priority)}; give a finite number.`);
  }

  /** Where the state of a workflow is in that of the run. */
  #pathOf(
    definition: WorkflowDefinition,
    outer: Scope | undefined,
    local: string,
  ): readonly string[] | undefined {
    return holdsState(definition) ? [...(outer?.state ?? []), local] : undefined;
  }

  /** What the tasks of a nested workflow take and have by default. */
  #limitsOf(
    id: string,
    priority: number | undefined,
    outer: Scope | undefined,
    { concurrency, retry = outer?.retry, timeout = outer?.timeout }: WorkflowSettings,
  ): Pick<Scope, 'priority' | 'resources' | 'retry' | 'timeout'> {
    const isLimited = typeof concurrency === 'number' && concurrency !== Number.POSITIVE_INFINITY;
    const name = `${id} concurrency`;
    if (isLimited) this.#resources[name] = concurrency;
    const resources = { ...outer?.resources, ...(isLimited && { [name]: 1 }) };
    return {
      priority: priority ?? 0,
      resources: Object.keys(resources).length > 0 ? resources : undefined,
      retry,
      timeout,
    };
  }

  /** Groups, resources and prices by name: what the run has goes before what a nested workflow brings. */
  #share(id: string, { settings }: WorkflowDefinition): void {
    const outer = this.#root.settings;
    const add = <T>(what: 'groups' | 'resources', all: Record<string, T>): void => {
      for (const [name, one] of Object.entries((settings[what] ?? {}) as Record<string, T>)) {
        const known = Object.hasOwn(all, name) ? all[name] : undefined;
        if (known === undefined) all[name] = one;
        else if (
          known !== one &&
          !Object.hasOwn(outer[what] ?? {}, name) &&
          contentText(known) !== contentText(one)
        )
          this.#fault(
            id,
            `${what}.${truncate(name)} of workflow "${truncate(settings.name)}" differs from that of another nested workflow; give it to the outer workflow.`,
          );
      }
    };
    add('groups', this.#groups);
    add('resources', this.#resources);
    if (settings.prices !== undefined) this.#prices = { ...settings.prices, ...this.#prices };
  }

  /** The state of a workflow with the states of nested ones under their ids. */
  #merged({ settings }: WorkflowDefinition, states: Readonly<Record<string, unknown>>): unknown {
    const ids = Object.keys(states);
    const { state } = settings;
    if (ids.length === 0) return state;
    const clash = ids.find((id) => reservedNames.has(id) || (isRecord(state) && Object.hasOwn(state, id)));
    if (clash !== undefined)
      this.#fault(
        clash,
        `the state of workflow "${truncate(settings.name)}" has the key "${truncate(clash)}", where that of the nested workflow would be; rename one.`,
      );
    if (state !== undefined && !isRecord(state))
      this.#fault(
        ids[0] as string,
        `the state of workflow "${truncate(settings.name)}" is ${inspect(state)}, which has no place for that of a nested workflow; make it a record.`,
      );
    return { ...(isRecord(state) ? state : {}), ...states };
  }
}

/** A task that is a workflow. */
interface Place {
  readonly id: string;
  /** Its id in the workflow that it is a task of, whose scope is `outer`. */
  readonly local: string;
  readonly outer: Scope | undefined;
  readonly handle: Task;
  /** As it was given, and as a task of the run. */
  readonly given: TaskDefinition;
  readonly task: TaskDefinition;
}

function after(given: Dependencies | undefined, begin: Dependency): Dependencies {
  if (Array.isArray(given)) return [...given, begin];
  return { ...(given as object | undefined), [beginName]: begin };
}

/** Has it a state, or a workflow within it? A circle is told elsewhere. */
function holdsState(definition: WorkflowDefinition, within: readonly object[] = []): boolean {
  if (definition.settings.state !== undefined) return true;
  if (within.includes(definition.owner)) return false;
  return definition.tasks.some((task) => {
    const inner = task?.nested && definitionOf(task.nested);
    return inner !== undefined && holdsState(inner, [...within, definition.owner]);
  });
}

function definitionOf({ workflow }: NestedDefinition): WorkflowDefinition | undefined {
  const given = workflow as Partial<AnyNestable> | undefined;
  return typeof given?.defined === 'function' ? given.defined() : undefined;
}
