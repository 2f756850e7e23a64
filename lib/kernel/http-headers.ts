/** Longest header value that is looked at, in characters. */
const longest = 100;
const day = 86_400_000;

/**
 * Value of one header, from a `Headers` object, anything with `get`, or a record (names in any case). Never throws:
 * what cannot be read is not there.
 */
export function headerOf(headers: unknown, name: string): string | undefined {
  if (typeof headers !== 'object' || headers === null) return undefined;
  try {
    const { get } = headers as { get?: unknown };
    if (typeof get === 'function') return usableText(get.call(headers, name));
    const bag = headers as Record<string, unknown>;
    if (Object.hasOwn(bag, name)) return usableText(bag[name]);
    for (const key of Object.keys(bag)) if (key.toLowerCase() === name) return usableText(bag[key]);
  } catch {
    // A getter or proxy that throws.
  }
  return undefined;
}

/**
 * Ms a provider asks to wait, from the headers `retry-after-ms`, `x-ms-retry-after-ms` and `retry-after` (seconds or a date). A date is read
 * beside the `date` of the same answer, so the clock of this machine may be wrong. Undefined where nothing usable is
 * there, and for no wait at all: whoever is refused waits a backoff at least.
 * Source: RFC 9110, section 10.2.3.
 */
export function retryAfterOf(headers: unknown, now: number): number | undefined {
  for (const name of ['retry-after-ms', 'x-ms-retry-after-ms']) {
    const ms = wait(Number(headerOf(headers, name) || Number.NaN));
    if (ms !== undefined) return ms;
  }
  const text = headerOf(headers, 'retry-after')?.trim();
  if (text === undefined || text === '') return undefined;
  const seconds = Number(text);
  if (!Number.isNaN(seconds)) return wait(seconds * 1_000);
  const sent = Date.parse(headerOf(headers, 'date') ?? '');
  return wait(Date.parse(text) - (Number.isNaN(sent) ? now : sent));
}

const spokenWait =
  /\b(?:try again|retry|retrying|wait|available)(?: in| after)? ((?:\d+(?:\.\d+)? ?(?:ms|milliseconds?|seconds?|secs?|s|minutes?|mins?|m|hours?|h)\b ?|\d+(?:\.\d+)?[hms](?=\d)){1,4})/i;

/** Ms in words such as "try again in 7m12.5s" or "retry after 7 seconds". */
export function waitIn(text: string): number | undefined {
  const found = spokenWait.exec(text)?.[1];
  if (found === undefined) return undefined;
  let ms = 0;
  for (const [, amount, unit] of found.matchAll(/(\d+(?:\.\d+)?) ?(mi?l?l?i?s|[hms])/gi))
    ms +=
      Number(amount) * ((unit as string).length > 1 ? 1 : (unitMs[(unit as string).toLowerCase()] as number));
  return wait(ms);
}

/** What a provider tells of one of its limits. */
export interface ProviderLimit {
  readonly kind: 'requests' | 'tokens';
  /** The whole of it, where told. */
  readonly limit: number | undefined;
  /** What can still be had now. */
  readonly remaining: number;
  /** Ms until it is whole again; undefined: not told. */
  readonly resetMs: number | undefined;
}

/**
 * Reads `x-ratelimit-remaining-requests`, `-tokens` with `x-ratelimit-limit-*` and `x-ratelimit-reset-*` (durations
 * such as `6m0s`, `20ms`, or seconds) and `anthropic-ratelimit-requests-*`, `-tokens-*` (dates, RFC 3339). Numbers
 * and times that make no sense are left out; `now` is ms since 1970.
 * Sources: OpenAI, "Rate limits in headers"; Anthropic, "Rate limits, response headers".
 */
export function providerLimits(headers: unknown, now: number): ProviderLimit[] {
  const found: ProviderLimit[] = [];
  for (const kind of ['requests', 'tokens'] as const) {
    for (const [left, limit, reset] of [
      [`x-ratelimit-remaining-${kind}`, `x-ratelimit-limit-${kind}`, `x-ratelimit-reset-${kind}`],
      [
        `anthropic-ratelimit-${kind}-remaining`,
        `anthropic-ratelimit-${kind}-limit`,
        `anthropic-ratelimit-${kind}-reset`,
      ],
    ] as const) {
      const text = headerOf(headers, left);
      const remaining = text === undefined ? undefined : count(text);
      if (remaining === undefined) continue;
      const resetMs = timeLeft(headerOf(headers, reset), now);
      found.push({ kind, remaining, limit: count(headerOf(headers, limit)), resetMs });
    }
  }
  return found;
}

function usableText(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value.length <= longest ? value : undefined;
}

/** A day at most: a wrong clock or a hostile header must not park a run for years. */
function usable(ms: number): number | undefined {
  return Number.isFinite(ms) && ms >= 0 ? Math.min(Math.ceil(ms), day) : undefined;
}

/** A wait is above 0. */
function wait(ms: number): number | undefined {
  return ms > 0 ? usable(ms) : undefined;
}

function count(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: day };

/** Ms in a duration (`1h2m3.5s`, `20ms`, seconds without a unit) or until a date. */
function timeLeft(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d+(\.\d+)?$/.test(text)) return usable(Number(text) * 1_000);
  if (/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) {
    let ms = 0;
    for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g))
      ms += Number(amount) * (unitMs[unit as string] as number);
    return usable(ms);
  }
  return /^\d{4}-\d\d-\d\dT/.test(text) ? usable(Math.max(0, Date.parse(text) - now)) : undefined;
}
