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
];
/** Where they keep the same as JSON text. */
const texts = ['message', 'responseBody', 'body', 'data'];

/** One object of an error, by the names of its fields. */
export type Layer = Readonly<Record<string, unknown>>;

/**
 * An error and all it was made from, outermost first: causes, answers of providers, and JSON in texts. Reads no deeper
 * than into errors of rxhive that stand for themselves (`opaque`). Never throws: what cannot be read is not there.
 */
export function layersOf(error: unknown, opaque: (layer: object) => boolean): readonly Layer[] {
  const found: Layer[] = [];
  const seen = new Set<unknown>();
  const visit = (one: unknown): void => {
    if (typeof one !== 'object' || one === null || seen.has(one) || seen.size >= mostLayers) return;
    seen.add(one);
    if (isList(one)) {
      for (let i = 0; i < Math.min(one.length, mostLayers); i++) visit(fieldOf(one as never, String(i)));
      return;
    }
    found.push(one as Layer);
    if (opaque(one)) return;
    for (const name of inner) visit(fieldOf(one as Layer, name));
    for (const name of texts) for (const parsed of jsonIn(fieldOf(one as Layer, name))) visit(parsed);
  };
  visit(error);
  return found;
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
export function fieldOf(layer: Layer, name: string): unknown {
  try {
    return layer[name];
  } catch {
    // A getter or proxy that throws.
    return undefined;
  }
}

/** The JSON that some SDKs put into the message of an error, after words of theirs. */
function jsonIn(text: unknown): readonly unknown[] {
  if (typeof text !== 'string' || text.length > longestText || !text.includes('{')) return [];
  for (const [open, close] of [
    ['{', '}'],
    ['[{', ']'],
  ] as const) {
    const from = text.indexOf(open);
    const to = text.lastIndexOf(close);
    if (from < 0 || to < from) continue;
    try {
      return [JSON.parse(text.slice(from, to + 1))];
    } catch {
      // Words with braces in them.
    }
  }
  return [];
}
