import { fieldOf, isList, type Layer, layersOf } from './error-layers.js';
import { namesIn, statusIn } from './error-status.js';
import { isRxhiveError, type RxhiveError } from './errors.js';
import { headerOf, retryAfterOf, waitIn } from './http-headers.js';

/**
 * What an error of a provider means. The only place that says so: retries, limiters, adaptive limits, breakers,
 * metrics, the page and adapters all ask here.
 *
 * - `rate-limit`: too many requests or tokens for now (429, throttling of AWS, RESOURCE_EXHAUSTED, 403 with Retry-After)
 * - `overloaded`: too much for everybody (529, `overloaded_error`, a 503 that says so or when to come back)
 * - `quota`: used up or not paid; no wait within a run mends it
 * - `context-length`, `content-filter`, `auth`, `client`: the request itself; the same again gets the same
 * - `timeout`, `network`, `server`: the provider or the way to it is broken
 * - `other`: says nothing of a provider
 */
export type ProviderErrorKind =
  | 'rate-limit'
  | 'overloaded'
  | 'quota'
  | 'context-length'
  | 'content-filter'
  | 'auth'
  | 'client'
  | 'timeout'
  | 'network'
  | 'server'
  | 'other';

/** What is read from an error and from what it was made of. */
export interface ProviderError {
  readonly kind: ProviderErrorKind;
  /** HTTP status, or the one that a name or number of gRPC, Google, AWS or an event in a stream stands for. */
  readonly status: number | undefined;
  /** Can the same request succeed later? */
  readonly isRetryable: boolean;
  /** Ms the provider asks to wait, above 0. */
  readonly retryAfter: number | undefined;
  /** Headers of the answer, as the SDK keeps them. */
  readonly headers: readonly unknown[];
}

/** Aggregates within aggregates that are looked at. */
const deepest = 3;

/**
 * `now`: ms since 1970. Never throws. An `AggregateError` means what the first of its errors means that can succeed later,
 * one that tells of a provider before others: who tried several ways needs one. Where none can, it is the first.
 */
export function readProviderError(error: unknown, now: number, depth = 0): ProviderError {
  if (standsForItself(error)) return ownError(error);
  const parts = depth < deepest ? partsOf(error) : [];
  if (parts.length > 0) {
    const read = parts.map((one) => readProviderError(one, now, depth + 1));
    const again = read.filter(({ isRetryable }) => isRetryable);
    const some = again.length > 0 ? again : read;
    return some.find(({ kind }) => kind !== 'other') ?? (some[0] as ProviderError);
  }
  const layers = layersOf(typeof error === 'string' ? { message: error } : error, standsForItself);
  const headers: unknown[] = [];
  for (const layer of layers)
    for (const one of [layer.headers, layer.responseHeaders])
      if (typeof one === 'object' && one !== null) headers.push(one);
  const words = layers.map(wordsOf).join('\n');
  const names = new Set(layers.flatMap(namesIn));
  const told = retryAfterIn(layers, headers, now);
  const status = statusIn(layers, names, words);
  const asked = told !== undefined || asksToWait(layers, headers);
  const kind = kindOf({ layers, status, names, words, asked });
  const refused = kind === 'rate-limit' || kind === 'overloaded';
  return {
    kind,
    status,
    isRetryable: retryable(layers, headers, kind, status),
    retryAfter: kind === 'quota' ? undefined : (told ?? (refused ? waitIn(words) : undefined)),
    headers,
  };
}

/** The HTTP status an error tells of, or that its words stand for. */
export function statusOf(error: unknown): number | undefined {
  return readProviderError(error, 0).status;
}

/** Did the provider say "not now"? `retryAfter`: ms it asked to wait, where that is known from elsewhere. */
export function isRefusal(error: unknown, retryAfter?: number): boolean {
  return saysNotNow(readProviderError(error, 0), retryAfter);
}

/** The same of an error that was read. */
export function saysNotNow({ kind, status }: ProviderError, retryAfter?: number): boolean {
  if (kind === 'rate-limit' || kind === 'overloaded') return true;
  return retryAfter !== undefined && kind !== 'quota' && mayAskToWait(status);
}

/** Does the provider have too much to do? A refusal, or a 503. */
export function isOverload(read: ProviderError): boolean {
  return read.status === 503 || saysNotNow(read);
}

/** Does an error speak against the provider? HTTP 5xx and 408, timeouts, errors of the network. */
export function speaksAgainstProvider(error: unknown, read = readProviderError(error, 0)): boolean {
  const { kind, status } = read;
  if (kind === 'timeout' || kind === 'network' || kind === 'server') return true;
  return kind === 'overloaded' && status !== 429;
}

interface Facts {
  readonly layers: readonly Layer[];
  readonly status: number | undefined;
  readonly names: ReadonlySet<string>;
  readonly words: string;
  readonly asked: boolean;
}

function kindOf({ layers, status, names, words, asked }: Facts): ProviderErrorKind {
  if (isQuota(layers, status, names, words, asked)) return 'quota';
  // More than a whole minute's tokens: no wait makes it fit.
  if (status === 429 && /request too large/i.test(words)) return 'context-length';
  if (status === 429 || (status === 403 && (asked || /rate limit|too many requests/i.test(words))))
    return 'rate-limit';
  if (status === 529 || status === 498) return 'overloaded';
  if (status === 503 && (asked || loadWords.test(words))) return 'overloaded';
  if (status === 401 || status === 403 || status === 407) return 'auth';
  if (status === 408 || status === 504) return 'timeout';
  if (status !== undefined && status >= 500) return 'server';
  if (contextWords.test(words)) return 'context-length';
  if (filterWords.test(words)) return 'content-filter';
  if (status !== undefined && status >= 400) return 'client';
  // With an answer the network has worked, until the answer broke off.
  if (status === undefined && authWords.test(words)) return 'auth';
  // fetch calls a timeout "fetch failed" as well.
  if (timeoutWords.test(words)) return 'timeout';
  if (networkWords.test(words)) return 'network';
  if (layers.some(({ $fault }) => $fault === 'client')) return 'client';
  return asked && mayAskToWait(status) ? 'rate-limit' : 'other';
}

/** Where Retry-After makes sense: not with an answer that says the request is wrong. */
function mayAskToWait(status: number | undefined): boolean {
  return (
    status === undefined || status < 400 || status >= 500 || retryableStatus.has(status) || status === 403
  );
}

/** The errors of an aggregate that says nothing itself. */
function partsOf(error: unknown): readonly unknown[] {
  if (typeof error !== 'object' || error === null || fieldOf(error, 'name') !== 'AggregateError') return [];
  const errors = fieldOf(error, 'errors');
  const speaks = ['status', 'statusCode', 'isRetryable', 'response'].some(
    (name) => fieldOf(error, name) !== undefined,
  );
  if (speaks || !isList(errors)) return [];
  return Array.from({ length: Math.min(errors.length, 50) }, (_, i) => fieldOf(errors, String(i)));
}

const retryableStatus = new Set([408, 409, 425, 429, 498]);
const neverMends = new Set<ProviderErrorKind>(['quota', 'context-length', 'content-filter', 'auth']);

function retryable(
  [outermost]: readonly Layer[],
  headers: readonly unknown[],
  kind: ProviderErrorKind,
  status: number | undefined,
): boolean {
  if (kind === 'quota') return false;
  const own = outermost?.isRetryable;
  // Frameworks that know "fatal" call all their errors so, whatever these were made from.
  const blanket = typeof outermost?.isFatal === 'boolean';
  if (typeof own === 'boolean' && !(blanket && kind !== 'other')) return own;
  let should: string | undefined;
  for (const one of headers) should ??= headerOf(one, 'x-should-retry');
  if (should === 'true' || should === 'false') return should === 'true';
  if (neverMends.has(kind)) return false;
  if (kind === 'client') return status !== undefined && retryableStatus.has(status);
  return true;
}

/** An error of rxhive is no answer of a provider, whatever its cause was: who failed because of it has counted it. */
function standsForItself(error: unknown): boolean {
  if (isRxhiveError(error)) return error.code !== 'AGENT_FAILED';
  // From a log, where classes are lost.
  return typeof error === 'object' && error !== null && fieldOf(error, 'name') === 'RxhiveError';
}

function ownError(error: unknown): ProviderError {
  const { code, isRetryable, details } = error as RxhiveError & { readonly isRetryable?: unknown };
  const timeout = code === 'TASK_TIMEOUT';
  // The deadline of a question that has passed once stays passed.
  const again = timeout ? details?.kind !== 'answer' : code === 'INVALID_RESULT';
  return {
    kind: timeout && details?.kind !== 'queue' ? 'timeout' : 'other',
    status: undefined,
    isRetryable: typeof isRetryable === 'boolean' ? isRetryable : again,
    retryAfter: undefined,
    headers: [],
  };
}

// --- quota

const quotaNames = new Set(
  'insufficientquota quotaexhausted quotaexceeded dailylimitexceeded billing billinghardlimitreached billinghardlimit billingnotactive insufficientbalance insufficientcredits creditbalancetoolow servicequotaexceeded paymentrequired usagelimitreached accountdeactivated billingdisabled tokenquotareached'.split(
    ' ',
  ),
);
const quotaWords =
  /\binsufficient_quota\b|credit balance is too low|insufficient (balance|credit|funds)|billing hard limit|requires more credits|exceeded (your|its) monthly|API calls \/ month|out of call volume quota|reached your specified API usage limits|used all available credits|(reached|exceeded) (your|its) monthly spending limit|have any credits yet/i;
const planWords = /exceeded your current quota, please check your plan and billing/i;
/** Some name a limit of the day and no time: it is far. */
const dayWords = /too many tokens per day|models-per-day/i;
const ofTheDay = /PerDay|Daily|\bper day\b/;
/** Google says the plan words for limits of a minute as well. */
const googleWords = /ai\.google\.dev|generativelanguage|RESOURCE_EXHAUSTED/;

function isQuota(
  layers: readonly Layer[],
  status: number | undefined,
  names: ReadonlySet<string>,
  words: string,
  asked: boolean,
): boolean {
  if (status === 402) return true;
  for (const name of names) if (quotaNames.has(name)) return true;
  if (quotaWords.test(words)) return true;
  if (planWords.test(words) && !asked && !googleWords.test(words)) return true;
  if (!asked && dayWords.test(words) && waitIn(words) === undefined) return true;
  // A quota of Google that is counted by the day comes back at midnight, whatever delay stands beside it.
  return layers.some((layer) => ofTheDay.test(textsOf(layer, ['quotaId', 'quota_limit', 'description'])));
}

// --- waiting

function retryAfterIn(
  layers: readonly Layer[],
  headers: readonly unknown[],
  now: number,
): number | undefined {
  for (const layer of layers) {
    const { retryAfter, retryDelay } = layer;
    const own = retryAfter ?? (retryDelay === undefined ? undefined : secondsOf(retryDelay));
    const ms = own === undefined ? undefined : retryAfterOf({ 'retry-after': textOf(own) }, now);
    if (ms !== undefined) return ms;
  }
  for (const one of headers) {
    const ms = retryAfterOf(one, now);
    if (ms !== undefined) return ms;
  }
  return undefined;
}

/** It says that one should wait, also where how long makes no sense. */
function asksToWait(layers: readonly Layer[], headers: readonly unknown[]): boolean {
  if (layers.some(({ retryAfter }) => typeof retryAfter === 'number')) return true;
  return headers.some((one) => headerOf(one, 'retry-after') ?? headerOf(one, 'retry-after-ms'));
}

function textOf(value: unknown): string | undefined {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : value.toISOString();
  return typeof value === 'number' || typeof value === 'string' ? String(value) : undefined;
}

/** `26s`, or the same as a message of protobuf. */
function secondsOf(delay: unknown): number | undefined {
  if (typeof delay === 'string') return /^\d+(\.\d+)?s$/.test(delay) ? Number(delay.slice(0, -1)) : undefined;
  if (typeof delay !== 'object' || delay === null) return undefined;
  const { seconds = 0, nanos = 0 } = delay as { seconds?: unknown; nanos?: unknown };
  const all = Number(seconds) + Number(nanos) / 1e9;
  return Number.isFinite(all) ? all : undefined;
}

// --- words

const contextWords =
  /context_length|context length|context window|maximum context|prompt is too long|input is too long|too many tokens|reduce the length|context_?overflow|input token count .{0,40}exceeds/i;
const filterWords =
  /content_filter|content_policy|content management policy|responsible_?ai|safety (settings|filter)|blocked by guardrail|blocked due to (safety|prohibited)/i;
const authWords =
  /invalid_api_key|incorrect api key|api key not valid|api key is missing|authentication_error|permission_denied/i;
const networkWords =
  /\b(ECONNRESET|ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EPIPE|EHOST\w+|ENET\w+|ERR_NETWORK|ERR_STREAM_PREMATURE_CLOSE|ERR_HTTP2_\w+|UND_ERR_(?!\w*TIMEOUT)\w+|fetch failed|socket hang up|terminated|other side closed|\w*connection ?error|premature close)\b/i;
const timeoutWords =
  /\b(ETIMEDOUT|ESOCKETTIMEDOUT|ECONNABORTED|UND_ERR_\w*TIMEOUT|timed out|timeout of \d+ ?ms|(body|request|response|network)[ -]timeout|\w*TimeoutError)\b/i;
const loadWords =
  /overloaded|server busy|server is busy|high demand|(at|over) capacity|currently loading|capacity exceeded|try again later/i;

const wordy = [
  ...(['name', 'message', 'code', 'lc_error_code', 'type'] as const),
  ...(['responseBody', 'body', 'stderr', 'details', 'error'] as const),
];

/** What tells the kind of an error, as one text. */
function wordsOf(layer: Layer): string {
  return textsOf(layer, wordy);
}

/** Those of some fields that are texts. */
function textsOf(layer: Layer, names: readonly (keyof Layer)[]): string {
  let words = '';
  for (const name of names) {
    const text = layer[name];
    if (typeof text === 'string') words += `${words && ' '}${text.slice(0, 4_000)}`;
  }
  return words;
}
