import type { Gate } from '../graph/gate.js';
import { type Group, Lane, type Need, Resource } from '../graph/lane.js';
import { type DefinitionFault, messageOf, truncate } from '../kernel/errors.js';
import type { Share } from '../kernel/fair-heap.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import { type Place, slotsOf } from '../model/executor.js';
import type { TaskDefinition } from '../model/task.js';
import type { Membership } from './membership.js';

/** The lanes of a run: tasks that wait for the same things are in one. */
export class Lanes {
  /** Of tasks that wait for a slot and nothing else. */
  readonly plain: Lane;
  readonly #member: Membership;
  readonly #groups: ReadonlyMap<string, Group>;
  readonly #resources: ReadonlyMap<string, Resource>;
  /** Gates that all tasks of the run have to pass. */
  readonly #outer: readonly (readonly Gate[])[];
  readonly #places: Map<Place, Resource>;
  readonly #lanes = new Map<string, Lane>();

  constructor(
    member: Membership,
    {
      groups,
      resources,
      gates,
    }: {
      readonly groups: ReadonlyMap<string, Group>;
      readonly resources: ReadonlyMap<string, Resource>;
      readonly gates: readonly Gate[];
    },
  ) {
    const { shared, slots } = member;
    this.#member = member;
    this.#groups = groups;
    this.#resources = resources;
    // Those of the controller come first.
    this.#outer = shared === undefined ? [gates] : [shared.gates, gates];
    this.#places = shared?.places ?? new Map();
    this.plain = new Lane(slots, undefined, [], this.#outer);
  }

  /** The lane of a task. */
  of(id: string, task: TaskDefinition, faults: DefinitionFault[]): Lane {
    const { group, resources, place } = task;
    const share = this.#member.isFair ? this.#shareOf(id, task, faults) : undefined;
    if (group === undefined && resources === undefined && place === undefined && share === undefined)
      return this.plain;
    const needs: Need[] = [];
    for (const [name, amount = 0] of Object.entries(resources ?? {})) {
      const resource = this.#resources.get(name);
      if (resource !== undefined && amount > 0) needs.push({ resource, amount });
    }
    needs.sort((a, b) => a.resource.order - b.resource.order);
    const slots = place === undefined ? undefined : this.#slotsOf(place);
    const isGroupAlone = needs.length === 0 && slots === undefined && share === undefined;
    const key =
      group !== undefined && isGroupAlone
        ? `=${group}`
        : JSON.stringify([
            group ?? null,
            slots?.order ?? null,
            needs.map((need) => [need.resource.name, need.amount]),
            share?.key,
          ]);
    if (slots !== undefined) needs.push({ resource: slots, amount: 1 });
    return getOrInsert(this.#lanes, key, () => {
      const one = group === undefined ? undefined : this.#groups.get(group);
      return new Lane(this.#member.slots, one, needs, this.#outer, share);
    });
  }

  /** The slots of a place are a resource of all whose executors run on it. */
  #slotsOf(place: Place): Resource {
    return getOrInsert(
      this.#places,
      place,
      () => new Resource(place.name, slotsOf(place), this.#places.size, place),
    );
  }

  /** Whose turns it counts for. A fault where nobody can say. */
  #shareOf(id: string, task: TaskDefinition, faults: DefinitionFault[]): Share | undefined {
    try {
      return this.#member.shareOf(id, task);
    } catch (error) {
      const message = `Task "${truncate(id)}": ${messageOf(error)}`;
      faults.push({ kind: 'bad-option', taskId: id, message });
      return undefined;
    }
  }
}
