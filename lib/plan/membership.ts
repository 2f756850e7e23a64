import { asyncScheduler, type SchedulerLike } from 'rxjs';
import { type Group, type Resource, RunSlots } from '../graph/lane.js';
import type { SharedParts } from '../graph/shared-parts.js';
import { type DefinitionFault, inspect, RxhiveError, truncate } from '../kernel/errors.js';
import type { Share } from '../kernel/fair-heap.js';
import { badReturn, callUser } from '../kernel/guard.js';
import { mostOf } from '../model/adaptive.js';
import type { ResolvedRunOptions } from '../model/run-options.js';
import type { TaskDefinition } from '../model/task.js';
import { defaultConcurrency, type WorkflowDefinition, type WorkflowSettings } from '../model/workflow.js';

/** Which run it is. */
type RunFacts = Pick<ResolvedRunOptions, 'priority' | 'tags'> & { readonly runId: string };

/**
 * What a run has of its own and what it shares with others. Without a controller it shares nothing: its settings are those
 * of its workflow, and all slots are its own.
 */
export class Membership {
  readonly shared: SharedParts | undefined;
  readonly slots: RunSlots;
  /** Settings of the workflow, with the groups, resources and order of the controller. */
  readonly settings: WorkflowSettings;
  /** Added to the priority of each task. */
  readonly priority: number;
  readonly #facts: Pick<Required<RunFacts>, 'runId' | 'tags'>;

  /** `origin`: when the clock of the run was at 0, on that of the controller. */
  constructor(own: WorkflowSettings, facts: RunFacts, shared: SharedParts | undefined, origin: number) {
    this.shared = shared;
    this.priority = shared === undefined ? 0 : (facts.priority ?? 0);
    this.#facts = { runId: facts.runId, tags: facts.tags ?? {} };
    const most = shared === undefined ? defaultConcurrency : Number.POSITIVE_INFINITY;
    const offset = shared === undefined ? 0 : origin - shared.clock.origin;
    this.slots = new RunSlots(mostOf(own.concurrency, most), shared?.nextOrder(), offset);
    this.settings = shared === undefined ? own : withController(own, shared);
  }

  /** Does anybody take turns? */
  get isFair(): boolean {
    return this.shared?.options.fair !== undefined;
  }

  /** Who takes turns with whom for this task. @throws RxhiveError CALLBACK_FAILED */
  shareOf(id: string, { type = id, group, tags: own }: TaskDefinition): Share | undefined {
    const { shared } = this;
    const fair = shared?.options.fair;
    if (shared === undefined || fair === undefined) return undefined;
    const workflow = this.settings.name;
    const { runId, tags } = this.#facts;
    const task = { id, type, group, workflow, runId, tags: own === undefined ? tags : { ...tags, ...own } };
    const key: unknown = callUser('fair', () => fair(task));
    if (typeof key !== 'string' && typeof key !== 'number')
      throw badReturn('fair', key, 'a text or a number');
    return shared.shareOf(String(key));
  }

  group(name: string): Group | undefined {
    return this.shared?.groups.get(name);
  }

  resource(name: string): Resource | undefined {
    return this.shared?.resources.get(name);
  }
}

function withController(own: WorkflowSettings, { options, limit }: SharedParts): WorkflowSettings {
  const { groups, resources, policy, aging } = options;
  return {
    ...own,
    concurrency: own.concurrency ?? limit,
    groups: { ...groups, ...own.groups },
    resources: { ...resources, ...own.resources },
    ...(policy !== undefined && { policy }),
    ...(aging !== undefined && { aging }),
  };
}

/** What of a workflow does not go with its controller. */
export function controllerFaults(
  { settings, names }: Pick<WorkflowDefinition, 'settings' | 'names'>,
  { options, limit }: SharedParts,
): DefinitionFault[] {
  const faults: DefinitionFault[] = [];
  const both = (kind: string, own: object = {}, shared: object = {}): void => {
    for (const name of Object.keys(own))
      if (Object.hasOwn(shared, name))
        faults.push({
          kind: 'bad-option',
          message: `${kind}.${truncate(name)} is one of the workflow and one of its controller; leave it out of one of them, or rename it.`,
        });
  };
  both(names.groups, settings.groups, options.groups);
  both('resources', settings.resources, options.resources);
  const most = mostOf(settings.concurrency, 0);
  if (Number.isFinite(most) && most > limit)
    faults.push({
      kind: 'bad-number',
      message: `${names.concurrency} is ${most}, but its controller lets ${limit} run at once in all; give at most that, or leave it out.`,
    });
  for (const name of ['policy', 'aging'] as const)
    if (settings[name] !== undefined && settings[name] !== options[name])
      faults.push({
        kind: 'bad-option',
        message: `${name} is ${inspect(settings[name])}, but the controller orders the tasks of all its runs; give it to controller() instead.`,
      });
  return faults;
}

/** Is it the scheduler of the controller? One that was given none takes any that shows the same time. */
function keepsTime(scheduler: SchedulerLike, { options, clock }: SharedParts): boolean {
  if (options.scheduler !== undefined) return scheduler === options.scheduler;
  return scheduler === asyncScheduler || scheduler.now() === clock.now();
}

/** How the options of a run go with its controller. @throws RxhiveError INVALID_OPTION */
export function checkStanding(
  { priority, tags, scheduler, store }: Pick<ResolvedRunOptions, 'priority' | 'tags' | 'scheduler' | 'store'>,
  shared: SharedParts | undefined,
): void {
  const fail = (message: string): never => {
    throw new RxhiveError('INVALID_OPTION', message);
  };
  if (shared === undefined && priority !== undefined)
    fail('The run has a priority, but no controller that would heed it; give controller, or leave it out.');
  if (shared === undefined && store === undefined && tags !== undefined)
    fail(
      'The run has tags, but no controller and no store that would heed them; give one of them, or leave them out.',
    );
  if (shared !== undefined && scheduler !== undefined && !keepsTime(scheduler, shared))
    fail(
      'The run has another scheduler than its controller; give the same one to controller(), or none here.',
    );
  if (shared?.draining === true) fail(drained);
}

/** Why a controller takes nothing in any more. */
export const drained =
  'The controller takes no runs and no work in any more, as drain() was called; make another one.';
