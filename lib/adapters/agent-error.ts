import { fieldOf, isList } from '../kernel/error-layers.js';
import { isRxhiveError, messageOf, RxhiveError, truncate } from '../kernel/errors.js';
import { readable } from '../kernel/guard.js';
import { type ProviderErrorKind, readProviderError } from '../kernel/provider-error.js';
import { withoutSecrets } from '../kernel/secret-texts.js';

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
 * group for `retryAfter` where the provider says so, and corrects limiters from `headers`.
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
    const said = kind === 'auth' ? 'Check the key and its rights.' : truncate(wordsOf(cause));
    super('AGENT_FAILED', `The agent of task "${truncate(taskId)}" failed (${kind}${http}). ${said}`, {
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

/** A failure of a kind that another try does not change. */
export function finalError(taskId: string, kind: AgentErrorKind, cause: unknown): AgentError {
  const none = { status: undefined, retryAfter: undefined, headers: undefined };
  return new AgentError(taskId, { kind, isRetryable: false, ...none }, cause);
}

/** A used-up quota and too much load are limits to whoever asks; what is wrong with a request has no name of its own. */
const kinds: Readonly<Record<ProviderErrorKind, AgentErrorKind>> = {
  'rate-limit': 'rate-limit',
  overloaded: 'rate-limit',
  quota: 'rate-limit',
  'context-length': 'context-length',
  'content-filter': 'content-filter',
  auth: 'auth',
  network: 'network',
  timeout: 'timeout',
  client: 'other',
  server: 'other',
  other: 'other',
};

/**
 * What an error of a framework means, read from it and the errors it wraps: HTTP status, headers, codes of providers and
 * of Node. An {@link AgentError} stays as it is, as does any other error of rxhive.
 */
export function agentError(taskId: string, thrown: unknown): RxhiveError {
  const error = readable(thrown, `The agent of task "${truncate(taskId)}"`);
  for (const one of wrapped(error, new Set())) if (isRxhiveError(one)) return one;
  const read = readProviderError(error, Date.now());
  const { status, headers, retryAfter } = read;
  // An answer that is no JSON: the framework may call that final, but models and proxies do better the next time.
  const broken = read.kind === 'other' && /\bJSON\b/.test(wordsOf(error));
  const facts = {
    kind: kinds[read.kind],
    status,
    isRetryable: read.isRetryable || broken,
    headers: headers[0],
    retryAfter: retryAfter === undefined ? undefined : retryAfter / 1_000,
  };
  return new AgentError(taskId, facts, error);
}

/** The error and those it was made from, outermost first: `cause`, `errors`, and where SDKs keep them. */
function* wrapped(error: unknown, seen: Set<unknown>): Generator<unknown> {
  if (typeof error !== 'object' || error === null || seen.has(error) || seen.size > 50) return;
  seen.add(error);
  yield error;
  const [cause, lastError, inner, errors] = ['cause', 'lastError', 'error', 'errors'].map((name) =>
    fieldOf(error, name),
  );
  for (const one of [cause, lastError, inner]) yield* wrapped(one, seen);
  if (isList(errors))
    for (let i = 0; i < Math.min(errors.length, 50); i++) yield* wrapped(fieldOf(errors, String(i)), seen);
}

/** What the innermost error says: frameworks wrap it in phrases that say nothing. */
function wordsOf(error: unknown): string {
  const all = [...wrapped(error, new Set())].map((one) => fieldOf(one as object, 'message'));
  const words =
    all.findLast((one): one is string => typeof one === 'string' && one !== '') ?? messageOf(error);
  // Providers show parts of a key, which are too short to be known as one.
  return withoutSecrets(words).replaceAll(/\b(sk|pk|key|Bearer)[-_ ][\w.-]{6,}/g, '[hidden]');
}
