import type { Clock } from '../kernel/clock.js';
import { inspect, RxhiveError } from '../kernel/errors.js';
import type { Share } from '../kernel/fair-heap.js';
import type { ControllerOptions } from '../model/controller.js';
import type { Place } from '../model/executor.js';
import type { RunController } from '../model/run-controller.js';
import type { Gate } from './gate.js';
import type { Group, Resource } from './lane.js';

/** What the runs of one controller share, as one of them sees it when it is made. */
export interface SharedParts {
  readonly options: ControllerOptions;
  readonly clock: Clock;
  readonly groups: ReadonlyMap<string, Group>;
  readonly resources: ReadonlyMap<string, Resource>;
  /** What executors run on. */
  readonly places: Map<Place, Resource>;
  /** What all tasks of all runs have to pass. */
  readonly gates: readonly Gate[];
  /** Tasks that may run at once, of all runs. */
  readonly limit: number;
  /** No run is taken in any more. */
  readonly draining: boolean;
  /** Numbers runs in the order in which they are made. */
  nextOrder(): number;
  /** Who takes turns under this key. */
  shareOf(key: string): Share;
}

const byController = new WeakMap<RunController, SharedParts>();

/** A controller has been made; its runs are going to ask what they share. */
export function shareParts(controller: RunController, parts: SharedParts): void {
  byController.set(controller, parts);
}

/** What runs share that were given this. @throws RxhiveError INVALID_OPTION for anything but a controller */
export function partsOf(controller: RunController | undefined): SharedParts | undefined {
  if (controller === undefined) return undefined;
  const parts =
    typeof controller === 'object' && controller !== null ? byController.get(controller) : undefined;
  if (parts !== undefined) return parts;
  throw new RxhiveError(
    'INVALID_OPTION',
    `controller is ${inspect(controller)}; give what controller() returned, or leave it out.`,
  );
}
