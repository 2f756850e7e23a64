/** Most objects of one error that are looked at, and the longest text of it. */
const mostLayers = 50;
const longestText = 20_000;

/** Where SDKs keep what an error was made from: the answer of the provider, and the errors below. */
const inner = [
  'cause',
  'lastError',
  'error',
  'response',
  'rawResponse',
  'httpResponse',
  '$response',
  'body',
  'data',
  'errors',
  'details',
  'errorDetails',
  'statusDetails',
  'violations',
  'metadata',
] as const;
/** Where they keep the same as JSON text. */
const texts = ['message', 'responseBody', 'body', 'data'] as const;
/** All that is read of an object. */
const names = [
  ...[...inner, ...texts, 'name', 'code', 'lc_error_code', 'type', '__type', 'reason', 'stderr'],
  ...['status', 'statusCode', 'status_code', 'httpStatusCode', 'raw_status_code', '$metadata', '$fault'],
  ...['headers', 'responseHeaders', 'retryAfter', 'retryDelay', 'isRetryable', 'isFatal'],
  ...['quotaId', 'quota_limit', 'description'],
  ...['throttlingException', 'serviceUnavailableException', 'internalServerException'],
  ...['modelStreamErrorException', 'modelTimeoutException', 'validationException'],
] as const;

/** What was read of one object of an error. */
export type Layer = { readonly [name in (typeof names)[number]]?: unknown };

/**
 * An error and all it was made from, outermost first: causes, answers of providers, and JSON in texts. Passes over errors
 * of rxhive below it that stand for themselves (`opaque`). Each field is read once. Never throws: what cannot be read is not there.
 */
export function layersOf(error: unknown, opaque: (layer: object) => boolean): readonly Layer[] {
  const found: Layer[] = [];
  const seen = new Set<unknown>();
  const visit = (one: object): void => {
    if (seen.has(one) || seen.size >= mostLayers) return;
    seen.add(one);
    if (isList(one)) {
      for (let i = 0; i < Math.min(one.length, mostLayers); i++) look(fieldOf(one, String(i)));
      return;
    }
    if (one !== error && opaque(one)) return;
    const layer = layerOf(one);
    found.push(layer);
    for (const name of inner) if (typeof layer[name] === 'object') look(layer[name]);
    for (const name of texts) {
      const text = layer[name];
      if (typeof text === 'string' && text.includes('{')) look(jsonIn(text));
    }
  };
  const look = (one: unknown): void => {
    if (typeof one === 'object' && one !== null) visit(one);
  };
  look(error);
  return found;
}

/** What can be read of an object. */
export function layerOf(one: object): Layer {
  const layer: { -readonly [name in keyof Layer]: unknown } = {};
  for (const name of names) {
    try {
      const value = (one as Layer)[name];
      if (value !== undefined) layer[name] = value;
    } catch {
      // A getter or proxy that throws.
    }
  }
  return layer;
}

/** False for a proxy that cannot be asked. */
export function isList(one: unknown): one is readonly unknown[] {
  try {
    return Array.isArray(one) && one.length >= 0;
  } catch {
    return false;
  }
}

/** A field; undefined where it cannot be read. */
export function fieldOf(one: object, name: string): unknown {
  try {
    return (one as Readonly<Record<string, unknown>>)[name];
  } catch {
    // A getter or proxy that throws.
    return undefined;
  }
}

/** The JSON that some SDKs put into the message of an error, after words of theirs. */
function jsonIn(text: string): unknown {
  if (text.length > longestText) return undefined;
  for (const [open, close] of [
    ['{', '}'],
    ['[{', ']'],
  ] as const) {
    const from = text.indexOf(open);
    const to = text.lastIndexOf(close);
    if (from < 0 || to < from) continue;
    try {
      return JSON.parse(text.slice(from, to + 1));
    } catch {
      // Words with braces in them.
    }
  }
  return undefined;
}
