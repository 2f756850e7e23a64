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
 * by which one is kept longer. `longestWay`: ms an answer may take before what it permits counts from a time that is too long ago; for a bucket
 * see {@link lateStarts}.
 */
export function sharedWindows(
  settings: LimiterSettings,
  real: boolean,
): { readonly windows: readonly SharedWindow[]; readonly margin: number; readonly longestWay: number } {
  const windows: SharedWindow[] = [];
  let longestWay = Number.POSITIVE_INFINITY;
  let least = Number.POSITIVE_INFINITY;
  for (const { name, kind, size, max, refill } of windowsOf(settings)) {
    const margin = real ? (settings.margin ?? Math.min(500, Math.max(40, Math.ceil(size / 100)))) : 0;
    least = Math.min(least, margin);
    if (refill !== undefined) {
      // A grain of a ms each: there are no more than the bucket holds.
      windows.push({ name, kind, max, size, grain: 1, bucket: { refill, late: Math.ceil(margin) } });
      continue;
    }
    longestWay = Math.min(longestWay, (size + margin) / 4);
    windows.push({ name, kind, max, size: size + margin, grain: Math.max(1, Math.floor(size / grains)) });
  }
  return { windows, margin: windows.length === 0 ? 0 : least, longestWay };
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

/** The same windows where starts may be `ms` later than their permits, beside the margin. A bucket fills meanwhile; a window does not. */
export function withLateStarts(windows: readonly SharedWindow[], ms: number): readonly SharedWindow[] {
  return windows.map((window) => {
    const { bucket } = window;
    return bucket === undefined ? window : { ...window, bucket: { ...bucket, late: bucket.late + ms } };
  });
}

/**
 * What becomes of starts that are late where a bucket was told to expect them within `ms`. `latest`: ms after which no start may follow.
 * `slack`: ms by which it need not be told, which no window allows.
 */
export function lateStarts(
  windows: readonly SharedWindow[],
  ms: number,
): { readonly latest: number; readonly slack: number } {
  const latest = windows.some(({ bucket }) => bucket !== undefined) ? ms : Number.POSITIVE_INFINITY;
  const slacks = windows.map(({ bucket }) => (bucket === undefined ? 0 : bucket.late + ms));
  return { latest, slack: slacks.length === 0 ? 0 : Math.min(...slacks) };
}
