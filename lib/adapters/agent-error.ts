import { brief, RxhiveError } from '../kernel/errors.js';
import { headersOf, retryAfter } from '../kernel/http-headers.js';
import { statusOf } from '../kernel/http-status.js';

/** Why an agent failed, whatever framework it is of. */
export type AgentErrorKind =
  | 'rate-limit'
  | 'context-length'
  | 'content-filter'
  | 'auth'
  | 'network'
  | 'timeout'
  | 'other';

interface AgentErrorFacts {
  readonly kind: AgentErrorKind;
  readonly isRetryable: boolean;
  readonly status: number | undefined;
  readonly retryAfter: number | undefined;
  readonly headers: unknown;
}

/**
 * An agent of a framework failed. `cause` is the error of the framework. The engine decides by `isRetryable`, holds the
 * group for `retryAfter` where the provider says so, and corrects the books of limiters from `headers`.
 */
export class AgentError extends RxhiveError {
  readonly kind: AgentErrorKind;
  /**
   * Another try can help: `rate-limit` (but for a used-up quota), `network`, `timeout`, and `other` without an HTTP status
   * or with one from 500, unless the framework calls it fatal.
   */
  readonly isRetryable: boolean;
  /** HTTP status of the provider, where there was one. */
  readonly status: number | undefined;
  /** Seconds the provider asks to wait. */
  readonly retryAfter: number | undefined;
  /** Headers of the provider's answer, as the framework keeps them. Not enumerable: not in logs. */
  declare readonly headers: unknown;

  constructor(taskId: string, facts: AgentErrorFacts, cause: unknown) {
    const { kind, status, isRetryable } = facts;
    const http = status === undefined ? '' : `, HTTP ${status}`;
    // What providers say of a key can show parts of it.
    const said = kind === 'auth' ? 'Check the key and its rights.' : brief(wordsOf(cause));
    super('AGENT_FAILED', `The agent of task "${brief(taskId)}" failed (${kind}${http}). ${said}`, {
      cause,
      details: { taskId, kind, status },
    });
    this.kind = kind;
    this.isRetryable = isRetryable;
    this.status = status;
    this.retryAfter = facts.retryAfter;
    Object.defineProperty(this, 'headers', { value: facts.headers, enumerable: false });
  }
}

const codes: readonly [AgentErrorKind, RegExp][] = [
  ['context-length', /context_length|context length|maximum context|too many tokens|prompt is too long/i],
  ['content-filter', /content_filter|content_policy|content management policy|responsible_?ai/i],
  ['auth', /invalid_api_key|incorrect api key|authentication_error|permission_denied/i],
  [
    'network',
    /\b(ECONNRESET|ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EPIPE|UND_ERR_SOCKET|fetch failed|socket hang up|terminated|other side closed|connection error|premature close)\b/i,
  ],
  ['timeout', /\b(ETIMEDOUT|UND_ERR_\w*TIMEOUT|timed out|TimeoutError)\b/i],
];

/**
 * What an error of a framework means, read from it and the errors it wraps: HTTP status, headers, codes of providers and
 * of Node. An {@link AgentError} stays as it is, as does any other error of rxhive.
 */
export function agentError(taskId: string, error: unknown): RxhiveError {
  if (error instanceof RxhiveError) return error;
  const all = [...wrapped(error, new Set())];
  for (const one of all) if (one instanceof RxhiveError) return one;
  const status = all.map(statusOf).find((one) => one !== undefined);
  const words = all.map(factsOf).join('\n');
  const now = Date.now();
  const asked = all.map((one) => retryAfter(one, now)).find((ms) => ms !== undefined);
  const kind = kindOf(status, words);
  const headers = all.flatMap(headersOf)[0];
  const isRetryable = retryable(kind, status, words, all);
  const seconds = asked === undefined ? undefined : asked / 1_000;
  return new AgentError(taskId, { kind, status, isRetryable, headers, retryAfter: seconds }, error);
}

function kindOf(status: number | undefined, words: string): AgentErrorKind {
  if (status === 429) return 'rate-limit';
  if (status === 401 || status === 403) return 'auth';
  if (status === 408 || status === 504) return 'timeout';
  if (status !== undefined && status >= 500) return 'other';
  const found = codes.find(([, pattern]) => pattern.test(words))?.[0] ?? 'other';
  // With an answer the network has worked, until the answer broke off.
  return found === 'auth' && status !== undefined ? 'other' : found;
}

function retryable(
  kind: AgentErrorKind,
  status: number | undefined,
  words: string,
  all: readonly unknown[],
): boolean {
  if (kind === 'rate-limit') return !/insufficient_quota/.test(words);
  if (kind === 'network' || kind === 'timeout') return true;
  if (kind !== 'other') return false;
  if (status !== undefined && status >= 400) return status >= 500 || status === 409 || status === 425;
  // An answer that is no JSON: the framework may call that final, but models and proxies do better the next time.
  if (status !== undefined || /\bJSON\b/.test(words)) return true;
  return (all[0] as { isRetryable?: unknown } | undefined)?.isRetryable !== false;
}

/** The error and those it was made from, outermost first: `cause`, `errors`, and where SDKs keep them. */
function* wrapped(error: unknown, seen: Set<unknown>): Generator<unknown> {
  if (typeof error !== 'object' || error === null || seen.has(error) || seen.size > 50) return;
  seen.add(error);
  yield error;
  const { cause, errors, lastError, error: inner } = error as Record<string, unknown>;
  for (const one of [cause, lastError, inner, ...(Array.isArray(errors) ? errors : [])])
    yield* wrapped(one, seen);
}

/** What tells the kind of an error, as one text. */
function factsOf(error: unknown): string {
  const { name, message, code, type, responseBody, stderr } = error as Record<string, unknown>;
  return [name, message, code, type, responseBody, stderr].filter((one) => typeof one === 'string').join(' ');
}

/** What the innermost error says: frameworks wrap it in phrases that say nothing. */
function wordsOf(error: unknown): string {
  const last = [...wrapped(error, new Set())].findLast(
    (one) => typeof (one as Error).message === 'string' && (one as Error).message !== '',
  );
  const words = last === undefined ? String(error) : (last as Error).message;
  return words.replaceAll(/\b(sk|pk|key|Bearer)[-_ ][\w.-]{6,}/g, '[hidden]');
}
