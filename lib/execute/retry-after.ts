/**
 * Ms a provider asks to wait, read from an error: `retryAfter` in seconds, or the headers `retry-after-ms`
 * and `retry-after` (seconds or a date) on the error, its `responseHeaders` or its `response`.
 * Source: RFC 9110, section 10.2.3. Returns undefined when nothing usable is there.
 */
export function retryAfter(error: unknown, now: number): number | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const bag = error as Record<string, unknown>;
  if (typeof bag.retryAfter === 'number') return usable(bag.retryAfter * 1000);
  const response = bag.response as Record<string, unknown> | null | undefined;
  for (const headers of [bag.headers, bag.responseHeaders, response?.headers]) {
    const ms = header(headers, 'retry-after-ms');
    if (ms !== undefined) return usable(Number(ms));
    const text = header(headers, 'retry-after');
    if (text === undefined) continue;
    const seconds = Number(text);
    return usable(Number.isNaN(seconds) ? Date.parse(text) - now : seconds * 1000);
  }
  return undefined;
}

/** A day at most: a wrong clock or a hostile header must not park a run for years. */
function usable(ms: number): number | undefined {
  return Number.isFinite(ms) && ms >= 0 ? Math.min(Math.ceil(ms), 86_400_000) : undefined;
}

function header(headers: unknown, name: string): string | undefined {
  if (typeof headers !== 'object' || headers === null) return undefined;
  const { get } = headers as { get?: unknown };
  if (typeof get === 'function') {
    const value: unknown = get.call(headers, name);
    return typeof value === 'string' ? value : undefined;
  }
  for (const [key, value] of Object.entries(headers)) {
    if (key.toLowerCase() === name && (typeof value === 'string' || typeof value === 'number'))
      return String(value);
  }
  return undefined;
}
