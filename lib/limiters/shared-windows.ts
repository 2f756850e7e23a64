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
