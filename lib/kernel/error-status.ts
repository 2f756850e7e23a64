import { type Layer, layerOf } from './error-layers.js';

const numbers = ['status', 'statusCode', 'status_code', 'httpStatusCode', 'raw_status_code', 'code'] as const;

/**
 * The HTTP status an error tells of: as a number or text under any of the names SDKs use, or as a name or number of gRPC, Google,
 * AWS or an event in a stream that stands for one; else in its words. `layers`, `names`, `words`: of the whole error.
 */
export function statusIn(
  layers: readonly Layer[],
  names: ReadonlySet<string>,
  words: string,
): number | undefined {
  let first: number | undefined;
  for (const layer of layers) {
    const one = statusOfLayer(layer);
    first ??= one;
    if (one === undefined || one < 400) continue;
    first = one;
    break;
  }
  let named: number | undefined;
  for (const name of names) named ??= namedStatus.get(name);
  // Some throttle with 400, 403 or 503; a stream that has begun with 200 can still break off with a name.
  if (named === 429 && (first === undefined || first < 400 || [400, 403, 503].includes(first))) return 429;
  if (named === 529 && (first === undefined || first < 500)) return 529;
  // An error while the model answers, told as 424: ask again.
  if (named === 500 && first === 424) return 500;
  if (first !== undefined && (first >= 400 || named === undefined)) return first;
  return named ?? first ?? spokenStatus(words);
}

function statusOfLayer(layer: Layer): number | undefined {
  for (const name of numbers) {
    const value = layer[name];
    const status = typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value;
    const isHttp = typeof status === 'number' && status >= (name === 'code' ? 400 : 100) && status < 600;
    if (isHttp && Number.isInteger(status)) return status;
    if (name === 'code' && typeof status === 'number' && isGrpc(layer)) return grpcStatus[status];
  }
  const { $metadata: meta } = layer;
  return typeof meta === 'object' && meta !== null ? statusOfLayer(layerOf(meta)) : undefined;
}

/** A small `code` is that of gRPC where the error looks like one; exits of commands and DOMExceptions have such too. */
function isGrpc({ message, details, metadata }: Layer): boolean {
  if (typeof message === 'string' && /^(\d{1,2} [A-Z_]{3,}|\[[a-z_]{3,}\])/.test(message)) return true;
  return typeof details === 'string' || typeof metadata === 'object';
}

/** By number. Source: google.rpc.Code. */
const grpcStatus: readonly (number | undefined)[] = [
  undefined,
  499,
  500,
  400,
  504,
  404,
  409,
  403,
  429,
  400,
  409,
  400,
  501,
  500,
  503,
  500,
  401,
];

const namedStatus = new Map<string, number>(
  Object.entries({
    429: 'resourceexhausted throttling throttled toomanyrequests ratelimit ratelimited ratelimitexceeded ratelimitreached userratelimitexceeded requestlimitexceeded requestthrottled provisionedthroughputexceeded modelratelimit modelnotready slowdown bandwidthlimitexceeded ec2throttled priorrequestnotcomplete',
    529: 'overloaded serveroverloaded serverisoverloaded engineoverloaded modeloverloaded',
    503: 'unavailable serviceunavailable',
    504: 'deadlineexceeded',
    408: 'modeltimeout requesttimeout',
    500: 'internalserver servererror apierror modelstreamerror modelerror',
    401: 'unauthenticated unauthorized authentication invalidapikey modelauthentication expiredtoken unrecognizedclient credentialsprovider',
    403: 'permissiondenied permission accessdenied',
    400: 'invalidargument invalidrequest failedprecondition outofrange',
    404: 'modelnotfound',
    402: 'billing',
  }).flatMap(([status, list]) => list.split(' ').map((name): [string, number] => [name, Number(status)])),
);

const streamEvents = [
  ['throttlingException', 'throttling'],
  ['serviceUnavailableException', 'serviceunavailable'],
  ['internalServerException', 'internalserver'],
  ['modelStreamErrorException', 'modelstreamerror'],
  ['modelTimeoutException', 'modeltimeout'],
  ['validationException', 'invalidrequest'],
] as const;

/** What names an error, without its spelling: `rate_limit_error`, `RateLimitError` and `RATE-LIMIT` are one. */
export function namesIn(layer: Layer): string[] {
  const found: string[] = [];
  for (const name of ['code', 'type', 'status', 'name', '__type', 'reason', 'lc_error_code'] as const) {
    const value = layer[name];
    if (typeof value !== 'string' || value.length > 100) continue;
    const plain = value
      .replace(/^.*#/, '')
      .replaceAll(/[^a-z0-9]/gi, '')
      .toLowerCase();
    // The class of an SDK error says less than its type does: APIError is the base of all.
    if (name === 'name' && (plain === 'apierror' || plain === 'servererror')) continue;
    found.push(
      plain === 'apierror' || plain === 'servererror' ? plain : plain.replace(/(exception|error)$/, ''),
    );
  }
  // Events in a stream of AWS: { throttlingException: {...} }.
  for (const [field, name] of streamEvents) if (typeof layer[field] === 'object') found.push(name);
  return found;
}

const spoken =
  /\b(?:status(?: code)?|error code)[ :=]{1,2}([45]\d\d)\b|\bHTTP(?:\/[\d.]{1,3})?[ :]{1,2}([45]\d\d)\b|(?:^|\[|error: )([45]\d\d) (?:\{|Too Many Requests|Overloaded|Internal Server Error|Bad Gateway|Service Unavailable|Gateway Time|Unauthorized|Forbidden|Bad Request|Not Found)/im;

/** The status of an error that has it in its words alone. */
function spokenStatus(words: string): number | undefined {
  const found = spoken.exec(words);
  const status = found?.[1] ?? found?.[2] ?? found?.[3];
  return status === undefined ? undefined : Number(status);
}
