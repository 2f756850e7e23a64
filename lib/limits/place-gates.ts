import type { Gate } from '../graph/gate.js';
import type { Group } from '../graph/lane.js';
import type { TaskNode } from '../graph/node.js';
import { notify } from '../kernel/guard.js';
import { limiterOf, WindowLimiter } from '../limiters/window-limiter.js';
import { Adaptive } from '../model/adaptive.js';
import type { BudgetState } from '../model/budget.js';
import type { EventBody } from '../model/event.js';
import type { GroupLimits, Limiter } from '../model/limiter.js';
import type { GroupOptions, WorkflowSettings } from '../model/workflow.js';
import { AdaptiveGate } from './adaptive-gate.js';
import { Breaker } from './breaker.js';
import { Budget } from './budget.js';
import { EffectiveLimits } from './effective-limits.js';
import { HeldResults } from './held-results.js';
import { LimiterGate } from './limiter-gate.js';
import type { GatedParts, GatePorts } from './ports.js';

/**
 * Makes the gates that the options of a workflow and of its groups ask for, and puts them in their places. Returns the
 * limits, for those who change them later.
 */
export function placeGates(
  places: GatedParts,
  settings: WorkflowSettings,
  given: Omit<GatePorts, 'effectiveLimits'>,
): EffectiveLimits {
  const ports = { ...given, effectiveLimits: new EffectiveLimits(given.scheduler) };
  places.gates.push(...gatesOf(settings, undefined, settings, ports));
  if (settings.heldResults !== undefined) places.gates.push(new HeldResults(settings.heldResults));
  for (const group of places.groups.values()) {
    group.gates.push(...gatesOf(settings.groups?.[group.name] ?? {}, group, settings, ports));
    for (const gate of group.gates) ports.scheduler.connect(gate);
  }
  for (const gate of places.gates) ports.scheduler.connect(gate);
  return ports.effectiveLimits;
}

/** Gates of a group, or without `group` those of the whole run. */
function gatesOf(
  options: GroupOptions | WorkflowSettings,
  group: Group | undefined,
  settings: WorkflowSettings,
  ports: GatePorts,
): Gate[] {
  const gates: Gate[] = [];
  if (group !== undefined && 'breaker' in options && options.breaker !== undefined)
    gates.push(new Breaker(group, options.breaker, ports));
  if (options.budget !== undefined) gates.push(new Budget(group, options.budget, ports));
  if (options.concurrency instanceof Adaptive)
    gates.push(new AdaptiveGate(group, options.concurrency.options, ports));
  const limiter = limiterFor(options, group, settings);
  const adaptive = options.concurrency instanceof Adaptive;
  if (limiter !== undefined) gates.push(new LimiterGate(limiter, group, adaptive, ports));
  return gates;
}

/** A group without one still needs somebody who hears its provider say "not now"; unless that of the run does. */
function limiterFor(
  { limiter }: GroupOptions,
  group: Group | undefined,
  settings: WorkflowSettings,
): Limiter | undefined {
  if (limiter !== undefined) return limiterOf(limiter);
  return group === undefined || settings.limiter !== undefined ? undefined : new WindowLimiter({});
}

/** How the groups, and first of all the run as a whole, use what they may. */
export function limitsOf(
  places: GatedParts,
  { active, limit }: { readonly active: number; readonly limit: number },
): GroupLimits[] {
  const one = (
    group: string | undefined,
    inUse: number,
    most: number,
    gates: readonly Gate[],
  ): GroupLimits => {
    const adaptive = gates.find((gate) => gate instanceof AdaptiveGate);
    const budgets = statesOf(gates);
    return {
      group,
      active: inUse,
      limit: most,
      ...(adaptive !== undefined && { target: adaptive.target }),
      limiters: gates.filter((gate) => gate instanceof LimiterGate).map((gate) => gate.state()),
      ...(budgets.length > 0 && { budgets }),
    };
  };
  return [
    one(undefined, active, limit, places.gates),
    ...[...places.groups.values()].map((group) => one(group.name, group.active, group.limit, group.gates)),
  ];
}

/** The answer `node` got had these headers: the nearest gate that listens hears of it. */
export function onHeaders(node: TaskNode, headers: unknown): void {
  node.lane.gates
    .flat()
    .findLast((gate) => gate.onHeaders !== undefined)
    ?.onHeaders?.(headers);
}

/** The run has ended; `failed` is told what limiters of users throw. */
export function closeGates(places: GatedParts, failed: (error: unknown) => void): void {
  for (const gate of gatesAt(places)) notify(() => gate.dispose?.(), failed);
}

/** The caps of all budgets of a run. */
export function budgetStates(places: GatedParts): BudgetState[] {
  return statesOf(gatesAt(places));
}

/** What gates would tell who comes now: what they have said before and still hold to. */
export function standing(places: GatedParts): EventBody[] {
  return gatesAt(places).flatMap((gate) => gate.standing?.() ?? []);
}

function statesOf(gates: readonly Gate[]): BudgetState[] {
  return gates.flatMap((gate) => (gate instanceof Budget ? gate.states : []));
}

function gatesAt({ gates, groups }: GatedParts): Gate[] {
  return [...gates, ...[...groups.values()].flatMap((group) => group.gates)];
}
