import type { EventBody } from '../model/event.js';
import { LimiterGate } from './limiter-gate.js';
import type { GatedParts } from './ports.js';

/** What gates would tell who comes now: what they have said before and still hold to. */
export function standing({ gates, groups }: GatedParts): EventBody[] {
  const places = [{ name: undefined, gates }, ...groups.values()];
  return places.flatMap(({ name, gates: own }) =>
    own.flatMap((gate): readonly EventBody[] => {
      if (!(gate instanceof LimiterGate)) return gate.standing?.() ?? [];
      const { heldFor } = gate.state();
      const group = name === undefined ? {} : { group: name };
      return heldFor > 0 ? [{ type: 'group', reason: 'gated', ...group, delay: heldFor }] : [];
    }),
  );
}
