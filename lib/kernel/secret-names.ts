/**
 * How much of what belongs to a name is secret: `all` of it, or the `texts` in it, because names such as `tokens` also
 * stand for counts.
 */
export type Secrecy = 'all' | 'texts';

const set = (words: string): ReadonlySet<string> => new Set(words.split(' '));

/** A name that ends with one of these, in the singular, is of a secret. */
const secrets = set(
  'password passwd passphrase passcode pwd secret credential authorization cookie bearer jwt otp totp ssn cvv cvc auth hmac csrf xsrf pem dsn apikey',
);
/** As these are, after some words only. */
const kinds: Readonly<Record<string, ReadonlySet<string>>> = {
  key: set(
    'api access account admin app application auth bot client consumer crypto decryption deploy encryption gpg hmac integration license master pgp private role root rsa secret security server service session shared sign signing ssh ssl storage subscription symmetric tls webhook',
  ),
  code: set('2fa access auth authorization backup mfa otp recovery security sms totp verification'),
  pass: set(
    'admin auth basic database db email ftp http imap login mail mysql pg postgres proxy redis root smtp ssh user',
  ),
  pin: set('access atm bank card login security sim user'),
  string: set('connection conn'),
  jar: set('cookie'),
};
const addresses = set('url uri dsn');
const addressed = set(
  'amqp broker connection database db jdbc kafka mariadb mongo mongodb mysql pg postgres postgresql rabbitmq redis sentry smtp webhook',
);
/** Names of these are hidden where what belongs to them is text. */
const loose = set('token session sess sid sessionid phpsessid jsessionid sig');
const signers = set('amz goog hub line request slack stripe webhook');
/** Words before `tokens` that make it a count. */
const counted = set(
  'audio cache cached completion context input max min new num number of output per prompt reasoning remaining text total used',
);
/** Words behind a name that do not change what it is of. */
const fillers = set('base confirm confirmation digest encrypted encoded hash plain plaintext value');
/** Written as one word. */
const glued =
  /(?:password|passwd|passphrase|apikey|accesskey|privatekey|secretkey|accesstoken|authtoken|refreshtoken|clientsecret|connectionstring|credential)s?$/;
/** No name without one of these is of a secret. */
export const mayName =
  /pass|pwd|secret|token|key|auth|cred|cookie|bearer|jwt|otp|ssn|cv[cv]|sess|sid|sig|hmac|[cx]srf|pem|dsn|ur[il]|conn|code|pin/i;
const longest = 100;

/** How secret what belongs to a name is; undefined: it is not. Names are known in any case and style, also as plurals. */
export function secrecyOf(name: string): Secrecy | undefined {
  const end = name.length > longest ? name.slice(-longest) : name;
  if (!mayName.test(end)) return undefined;
  const known = decided.get(end);
  if (known !== undefined) return known === 'open' ? undefined : known;
  const secrecy = decide(end);
  if (decided.size >= mostDecided) decided.clear();
  decided.set(end, secrecy ?? 'open');
  return secrecy;
}

/** Names come again and again. */
const decided = new Map<string, Secrecy | 'open'>();
const mostDecided = 1_000;

function decide(end: string): Secrecy | undefined {
  const words = wordsOf(end);
  while (words.length > 1 && fillers.has(singular(words.at(-1) as string).replace(/(?<=sh)e$/, '')))
    words.pop();
  const last = words.at(-1) ?? '';
  const before = words.at(-2) ?? '';
  const one = singular(last);
  if (one === 'token' && last !== one && counted.has(before)) return undefined;
  if (secrets.has(one) || kinds[one]?.has(before) === true || glued.test(words.join(''))) return 'all';
  if (words.length === 1 && (last === 'pass' || last === 'pin')) return 'all';
  if (addresses.has(one) && addressed.has(before)) return 'all';
  const held = loose.has(one) || (one === 'id' && before === 'session');
  return held || (one === 'signature' && signers.has(before)) ? 'texts' : undefined;
}

/** Is it a plural, which with a number tells how many there are? */
export function isPlural(name: string): boolean {
  return /[a-z]s$/i.test(name) && !/pass$/i.test(name);
}

function wordsOf(name: string): string[] {
  return name
    .split(/[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/)
    .map((word) => word.toLowerCase().replace(/(?<=[a-z])\d{1,4}$/, ''))
    .filter((word) => word !== '' && !/^\d{1,4}$/.test(word));
}

function singular(word: string): string {
  return (word.length > 3 || word === 'ids') &&
    word.endsWith('s') &&
    !word.endsWith('ss') &&
    !word.endsWith('id')
    ? word.slice(0, -1)
    : word;
}
