import { type LimiterSettings, windowsOf } from '../model/limiter.js';
import type { SharedWindow } from '../model/shared-limits.js';

/** A window has so many grains. */
const grains = 6_000;
/** Permits that are asked for at once, at least and at most. */
const [fewest, most] = [4, 16];
/** Ms in which the fewest are used. */
const usedIn = 5;
/** Of a window, or of the places. */
const largestPart = 1 / 20;

/**
 * Windows of settings as processes share them. `real`: in real time requests need a while to the provider. `margin`: the smallest
 * by which one is kept longer.
 */
export function sharedWindows(
  settings: LimiterSettings,
  real: boolean,
): { readonly windows: readonly SharedWindow[]; readonly margin: number } {
  const windows: SharedWindow[] = [];
  let least = Number.POSITIVE_INFINITY;
  for (const { name, kind, size, max } of windowsOf(settings)) {
    const margin = real ? (settings.margin ?? Math.min(500, Math.max(40, Math.ceil(size / 100)))) : 0;
    least = Math.min(least, margin);
    windows.push({ name, kind, max, size: size + margin, grain: Math.max(1, Math.floor(size / grains)) });
  }
  return { windows, margin: windows.length === 0 ? 0 : least };
}

/** Windows in which an answer with permits may take a quarter: their starts are told in time. */
const quarter = 1 / 4;
/** How much longer the next answer may take than those before, where a window is kept for it. */
const slower = 1.25;

/**
 * Windows where an answer takes `trip` ms, and how long the next one may take. A start is told after its permit has counted for that long and for the
 * `held` ms it was in hand. Where that is much of a window, others would be given its place before it is known when it left: the window is kept longer
 * by as much.
 */
export function keptFor(
  windows: readonly SharedWindow[],
  trip: number,
  held: number,
): { readonly windows: readonly SharedWindow[]; readonly longestTrip: number } {
  const way = Math.ceil(trip * slower);
  const isFar = ({ size }: SharedWindow): boolean => trip > size * quarter;
  return {
    windows: windows.map((one) => (isFar(one) ? { ...one, size: one.size + way + held } : one)),
    longestTrip: Math.min(...windows.map((one) => (isFar(one) ? way : one.size * quarter))),
  };
}

/**
 * Permits of `tokens` each to ask for at once where an answer takes `ms`: what is used meanwhile. With many more, or with a large part of a
 * window or of the places, the fastest process would have all.
 */
export function permitsAtOnce(
  windows: readonly SharedWindow[],
  places: number,
  tokens: number,
  ms: number,
): number {
  const amounts = windows.map(({ kind, max }) => (kind === 'requests' ? max : max / tokens));
  const whole = Math.min(places, ...amounts);
  return Math.max(fewest, Math.floor(Math.min(most, (fewest * ms) / usedIn, whole * largestPart)));
}
