import type { Gate, ProbingGate, Refusal } from '../graph/gate.js';
import type { Group } from '../graph/lane.js';
import type { TaskNode } from '../graph/node.js';
import type { Watch } from '../graph/ports.js';
import type { Clock } from '../kernel/clock.js';
import type { RxhiveError } from '../kernel/errors.js';
import type { EffectiveLimits, LimitedRun } from './effective-limits.js';

/** The scheduler, as gates see it. */
export interface GateScheduler extends LimitedRun {
  readonly active: number;
  /** Ends the run. */
  cancel(reason: RxhiveError): void;
  /** Lets `gate` wake who waits for it. */
  connect(gate: Gate): void;
  /** Ends tasks that gates will not let in. */
  readonly refusals: {
    turnAway(node: TaskNode, refusal: Refusal): void;
    refuse(gate: Gate): void;
    abort(group: Group, error: RxhiveError): void;
  };
  /** Lets those pass whom attempts need that try a provider. */
  readonly probing: {
    begin(gate: ProbingGate): void;
    end(gate: ProbingGate): void;
    helps(gate: ProbingGate, node: TaskNode): boolean;
  };
}

/** What gates are given to work with. */
export interface GatePorts {
  readonly clock: Clock;
  readonly watch: Watch;
  /** Tells the time of the run, changes limits, ends the run. */
  readonly scheduler: GateScheduler;
  /** Limits that several sides have a say in. */
  readonly effectiveLimits: EffectiveLimits;
  /** Told what code of users throws where no task is to blame. */
  failed(error: unknown): void;
  /** Inputs of a task whose dependencies have delivered. */
  inputsOf(node: TaskNode): unknown;
}

/** Where gates are. */
export interface GatedParts {
  readonly gates: Gate[];
  readonly groups: ReadonlyMap<string, Group>;
}
