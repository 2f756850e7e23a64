import type { Clock } from '../kernel/clock.js';
import { Adaptive } from '../model/adaptive.js';
import type { Gate } from '../model/gate.js';
import type { Group } from '../model/lane.js';
import type { Watch } from '../model/ports.js';
import type { GroupOptions, WorkflowSettings } from '../model/workflow.js';
import { AdaptiveGate } from './adaptive-gate.js';
import { Breaker } from './breaker.js';
import { Budget } from './budget.js';
import { Ceilings } from './ceilings.js';
import type { Scheduler } from './scheduler.js';

/** What gates are given to work with. */
export interface GatePorts {
  readonly clock: Clock;
  readonly watch: Watch;
  /** Tells the time of the run, changes limits, ends the run. */
  readonly scheduler: Scheduler;
  /** Limits that several sides have a say in. */
  readonly ceilings: Ceilings;
}

/**
 * Makes the gates that the options of a workflow and of its groups ask for, and puts them in their places. Returns the
 * limits, for those who change them later.
 */
export function placeGates(
  places: { readonly gates: Gate[]; readonly groups: ReadonlyMap<string, Group> },
  settings: WorkflowSettings,
  given: Omit<GatePorts, 'ceilings'>,
): Ceilings {
  const ports = { ...given, ceilings: new Ceilings(given.scheduler) };
  places.gates.push(...gatesOf(settings, undefined, ports));
  for (const group of places.groups.values()) {
    group.gates.push(...gatesOf(settings.groups?.[group.name] ?? {}, group, ports));
    for (const gate of group.gates) ports.scheduler.connect(gate);
  }
  for (const gate of places.gates) ports.scheduler.connect(gate);
  return ports.ceilings;
}

/** Gates of a group, or without `group` those of the whole run. */
function gatesOf(
  options: GroupOptions | WorkflowSettings,
  group: Group | undefined,
  ports: GatePorts,
): Gate[] {
  const gates: Gate[] = [];
  if (group !== undefined && 'breaker' in options && options.breaker !== undefined)
    gates.push(new Breaker(group, options.breaker, ports));
  if (options.budget !== undefined) gates.push(new Budget(group, options.budget, ports));
  if (options.concurrency instanceof Adaptive)
    gates.push(new AdaptiveGate(group, options.concurrency.options, ports));
  return gates;
}
