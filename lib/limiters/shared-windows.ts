import { type LimiterSettings, windowsOf } from '../model/limiter.js';
import type { SharedWindow } from '../model/shared-limits.js';

/** A window has so many grains. */
const grains = 6_000;

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
