import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { WorkflowEvent } from '../../lib/index.js';
import { textPatterns, withoutSecrets } from '../../lib/kernel/secret-texts.js';
import { tokenPatterns } from '../../lib/kernel/secret-tokens.js';
import { eventWriter } from '../../lib/observe/event-log.js';
import { CountingRegExp } from '../support/counting-regexp.js';

const write = eventWriter();
const written = (data: unknown): string =>
  write({
    seq: 1,
    at: 0,
    runId: 'r',
    type: 'log',
    reason: 'message',
    taskId: 't',
    message: '',
    data,
  } as WorkflowEvent);
/** Data as a log has them. */
const shown = (data: unknown): unknown => (JSON.parse(written(data)) as { data: unknown }).data;

// Made of parts, so that nobody who looks for secrets in this file finds some.
const lower = 'abcdefghijklmnopqrstuvwxyz';
const mixed = 'aB3dE5fG7hJ9kL2mN4pQ6rS8tU1vW0xY'.repeat(4);
const hex = '0123456789abcdef'.repeat(8);
const upper = 'ABCDEFGHIJKLMNOP234567'.repeat(4);

/** By kind: what stands before the part that nobody may see, and that part. */
const tokens: Record<string, readonly [string, string]> = {
  openai: ['sk-proj-', mixed.slice(0, 48)],
  'openai, old': ['sk-', mixed.slice(0, 48)],
  anthropic: ['sk-ant-api03-', mixed.slice(0, 93)],
  groq: ['gsk_', mixed.slice(0, 52)],
  'hugging face': ['hf_', `${lower}${lower}`.slice(0, 34)],
  replicate: ['r8_', mixed.slice(0, 37)],
  perplexity: ['pplx-', mixed.slice(0, 48)],
  xai: ['xai-', mixed.slice(0, 80)],
  fireworks: ['fw_', mixed.slice(0, 24)],
  nvidia: ['nvapi-', mixed.slice(0, 64)],
  langsmith: ['lsv2_pt_', hex.slice(0, 32)],
  tavily: ['tvly-', mixed.slice(0, 32)],
  pinecone: ['pcsk_', mixed.slice(0, 70)],
  'aws id': ['AKIA', upper.slice(0, 16)],
  'aws session id': ['ASIA', upper.slice(0, 16)],
  bedrock: ['ABSK', mixed.slice(0, 120)],
  google: ['AIza', mixed.slice(0, 35)],
  'google oauth': ['ya29.', mixed.slice(0, 60)],
  'google client': ['GOCSPX-', mixed.slice(0, 28)],
  alibaba: ['LTAI', mixed.slice(0, 20)],
  azure: ['abc', `8Q~${mixed.slice(0, 34)}`],
  'digital ocean': ['dop_v1_', hex.slice(0, 64)],
  heroku: ['HRKU-AA', mixed.slice(0, 58)],
  supabase: ['sbp_', hex.slice(0, 40)],
  github: ['ghp_', mixed.slice(0, 36)],
  'github, server': ['ghs_', mixed.slice(0, 36)],
  'github, fine': ['github_pat_', mixed.slice(0, 82)],
  gitlab: ['glpat-', mixed.slice(0, 20)],
  'gitlab runner': ['glrt-', mixed.slice(0, 20)],
  npm: ['npm_', mixed.slice(0, 36)],
  pypi: ['pypi-', mixed.slice(0, 100)],
  rubygems: ['rubygems_', hex.slice(0, 48)],
  atlassian: ['ATATT3', mixed.repeat(2).slice(0, 186)],
  slack: ['xoxb-', `123456789012-${mixed.slice(0, 24)}`],
  'slack app': ['xapp-', `1-A012345-123456789-${hex.slice(0, 32)}`],
  'slack address': ['https://hooks.slack.com/services/', `T00000000/B00000000/${mixed.slice(0, 24)}`],
  'discord address': ['https://discord.com/api/webhooks/123456789012345678/', mixed.slice(0, 68)],
  telegram: ['', `123456789:AA${mixed.slice(0, 33)}`],
  sendgrid: ['SG.', `${mixed.slice(0, 22)}.${mixed.slice(0, 43)}`],
  twilio: ['SK', hex.slice(0, 32)],
  mailgun: ['key-', hex.slice(0, 32)],
  stripe: ['sk_live_', mixed.slice(0, 24)],
  'stripe, restricted': ['rk_test_', mixed.slice(0, 24)],
  'stripe, hooks': ['whsec_', mixed.slice(0, 32)],
  square: ['sq0atp-', mixed.slice(0, 22)],
  shopify: ['shpat_', hex.slice(0, 32)],
  vault: ['hvs.', mixed.slice(0, 90)],
  doppler: ['dp.pt.', mixed.slice(0, 43)],
  '1password': ['A3-', 'ABCDEF-ABCDEFGHJK2-ABCDE-ABCDE-ABCDE'],
  age: ['AGE-SECRET-KEY-1', upper.slice(0, 58)],
  databricks: ['dapi', hex.slice(0, 32)],
  planetscale: ['pscale_tkn_', mixed.slice(0, 43)],
  grafana: ['glsa_', `${mixed.slice(0, 32)}_01234567`],
  sentry: ['sntryu_', hex.slice(0, 64)],
  linear: ['lin_api_', mixed.slice(0, 40)],
  notion: ['ntn_', `12345678901${mixed.slice(0, 35)}`],
  postman: ['PMAK-', `${hex.slice(0, 24)}-${hex.slice(0, 34)}`],
  figma: ['figd_', mixed.slice(0, 40)],
  'web token': ['eyJ', `hbGciOiJIUzI1NiJ9.${mixed.slice(0, 30)}.${mixed.slice(0, 43)}`],
  'private key': ['', `-----BEGIN RSA PRIVATE KEY-----\n${mixed}\n-----END RSA PRIVATE KEY-----`],
  'private key, cut': ['', `-----BEGIN PRIVATE KEY-----\n${mixed}\n${mixed}`],
};

/** Texts and the part of them that nobody may see. */
const texts: readonly (readonly [text: string, secret: string])[] = [
  ['Authorization: Bearer %', 'abcdef1234567890xyz'],
  ['authorization: %', 'abcdef1234567890xyz'],
  ['sent with bearer % today', 'abcdef1234567890xyz'],
  ['Proxy-Authorization: Basic %', 'dXNlcjpwYXNzd29yZDEyMw=='],
  ['x-api-key: %', hex.slice(0, 32)],
  ['Cookie: session=%; sid=zzz', 'abcdef0123456789'],
  ['Set-Cookie: token=%; HttpOnly', 'abcdef0123456789'],
  ["curl -H 'Cookie: a=%' https://example.com", 'abcdef0123456789'],
  ['curl -H "X-Auth-Token: %" https://example.com', 'abcdef0123456789'],
  ['curl -u ann:% https://example.com', 'hunter2hunter2'],
  ['tool --password % --verbose', 'hunter2hunter2'],
  ['tool --api-key=%', 'abcdef0123456789'],
  ['tool --token "%"', 'abcdef0123456789'],
  ['postgres://ann:%@host/db', 's3cretpass'],
  ['postgres://ann:%@host/db', 'p@ss@w0rd'],
  ['postgres://ann:%@host/db', 'p/ssw0rd'],
  ['postgres://ann:%@host/db', 'p?ss#w0rd'],
  ['redis://:%@host:6379', 's3cretpass'],
  ['https://%@github.com/a/b', '0123456789abcdef0123'],
  ['two: https://a.example/x, amqp://ann:%@b', 's3cretpass'],
  ['postgres://host/db?user=u&password=%', 's3cretpass'],
  ['https://maps.example.com/?key=%&x=1', 'AbCdEf0123456789AbCdEf0123456789'],
  ['https://api.example.com/v1?api_key=%', '0123456789abcdef0123'],
  ['https://api.example.com/v1?x=1&access_token=%#top', '0123456789abcdef0123'],
  ['https://x.blob.core.windows.net/c?sv=2020&sig=%', 'abcdefghijk%2Blmnop%3D'],
  ['https://s3.example.com/a?X-Amz-Signature=%&X-Amz-Date=1', hex.slice(0, 64)],
  ['https://example.com/back?code=%&state=1', 'abcdef0123456789abcdef'],
  [
    'AccountName=x;AccountKey=%;EndpointSuffix=y',
    'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq==',
  ],
  ['aws_secret_access_key=%', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'],
  ['export OPENAI_API_KEY=%', 'abcdef0123456789'],
  ['DB_PASSWORD=%', 'correct,horse;battery'],
  ['host=x password=% dbname=y', 'hunter2'],
  ['{"password":"%","user":"ann"}', 'hunter2 hunter2'],
  ['{\\"password\\":\\"%\\",\\"user\\":\\"ann\\"}', 'hunter2'],
  ["{ apiKey: '%', model: 'x' }", 'hunter2'],
  ['config["client_secret"] = "%"', 'hunter2'],
  ['{"apiKeys":[%]}', '"one","two"'],
  ['password: %', 'correcthorsebattery'],
  ['a: 1\n  secret: %\nb: 2', 'correcthorse'],
  ['The API key is set. API key: %', 'abc123def456'],
  ['secretKey => %', 'abc123def456'],
];

/** What stays as it is. */
const open: readonly string[] = [
  'tokens: 120',
  'tokens: 120, maxTokens: 4096, inputTokens=12, output_tokens: 7',
  '{"tokens":120,"total_tokens":"121","usage":{"prompt_tokens":5}}',
  'The secretary forgot the password again.',
  'A tokenizer splits text into tokens; a key is a key.',
  'Basic understanding of bearer authentication is enough.',
  'Authorization: required for all requests',
  'secret: none, password: null, token: undefined, apiKey: true',
  'password=$PASSWORD apiKey=$API_KEY token=<your-token> secret=***',
  'const token = getToken(); const apiKey = process.env.OPENAI_API_KEY;',
  '5f3a9c1e-8b7d-4e2f-a1c3-0123456789ab',
  'commit da39a3ee5e6b4b0d3255bfef95601890afd80709 and sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  'task/reviews/12 run-1lx3k9p2v5 in docker run -u 1000:1000',
  'https://example.com:8080/path/@scope/pkg?page=2&key=users#top',
  'https://medium.com/@ann/title-5f3a9c1e8b7d and ann@example.com',
  'git+ssh://git@github.com:ann/repo.git file:///C:/Users/x@y',
  'primary key: id, cache key: a/b/c1234567, idempotencyKey=r/t/1234567',
  'status code: 429, exit code: 1, country code: DE12345',
  '--max-tokens 4096 --session-count 5 --model gpt-5-mini',
  'risk-assessment-of-the-whole-project, desk-lamps-and-other-things',
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ',
  'x'.repeat(3_000),
];

test('keys of providers and clouds are hidden in any text, and what is around them is not', () => {
  for (const [kind, [start, secret]] of Object.entries(tokens))
    for (const around of ['%', 'before % after', 'a=%', '"%"', 'x|%|y', '(%)', '%,%', 'line\n%\nline']) {
      const text = around.replaceAll('%', start + secret);
      const clean = JSON.stringify(shown(text));
      assert.not.match(clean, secret.slice(-12), `${kind} in ${around}: ${clean}`);
      assert.match(clean, 'redacted', kind);
      const [left, right] = around.split('%') as [string, string];
      if (!kind.startsWith('private') && left !== 'a=') {
        assert.ok((shown(text) as string).startsWith(left), `${kind}: ${clean}`);
        assert.ok((shown(text) as string).endsWith(around.split('%').at(-1) ?? right), `${kind}: ${clean}`);
      }
    }
});

test('passwords, headers, cookies and queries are hidden in texts', () => {
  for (const [text, secret] of texts) {
    const whole = text.replace('%', () => secret);
    for (const around of [whole, `first line\n${whole}\nlast line`]) {
      const clean = shown(around) as string;
      assert.not.match(clean, secret, `${around} -> ${clean}`);
      assert.match(clean, '[redacted]', whole);
      assert.is(shown(clean), clean, 'hidden once');
    }
  }
});

test('what only looks like it stays readable', () => {
  for (const text of open) assert.is(shown(text), text);
  const data = {
    tokens: 120,
    maxTokens: 'auto',
    inputTokens: 5,
    usage: { tokens: { input: 5, output: 7 }, tokenCount: '12' },
    tokenizer: 'cl100k',
    secretary: 'Ann',
    secretName: 'db',
    publicKey: 'abc',
    primaryKey: 'id',
    cacheKey: 'k',
    keys: ['a', 'b'],
    passed: true,
    password: null,
    apiKey: undefined,
    bypass: 'x',
    compass: 'north',
    author: 'Ann',
    authors: ['Ann'],
    authority: 'x',
    pinned: 'x',
    pins: [1, 2],
    statusCode: 'E1',
    design: 'x',
    assigned: 'x',
    sessions: 3,
    secrets: 2,
    url: 'https://example.com',
    required: ['apiKey', 'model'],
    words: ['password', 'username', 'token', 'list'],
    fields: [
      { name: 'title', value: 'x' },
      { name: 'tokens', value: 5 },
    ],
  };
  assert.equal(shown(data), JSON.parse(JSON.stringify(data)));
});

test('names are known in any case, style and number', () => {
  const secret = 'Zq9vTopValueZq9v';
  const named = [
    'api key',
    'x api key',
    'openai api key',
    'access key',
    'secret key',
    'aws secret access key',
    'private key',
    'signing key',
    'encryption key',
    'subscription key',
    'account key',
    'session key',
    'service role key',
    'password',
    'db password',
    'passwd',
    'passphrase',
    'pwd',
    'db pass',
    'secret',
    'client secret',
    'webhook secret',
    'credential',
    'cookie',
    'set cookie',
    'authorization',
    'proxy authorization',
    'auth',
    'bearer',
    'jwt',
    'otp',
    'recovery code',
    'user pin',
    'ssn',
    'cvv',
    'hmac',
    'csrf',
    'connection string',
    'database url',
    'redis uri',
    'sentry dsn',
    'webhook url',
    'token',
    'access token',
    'refresh token',
    'id token',
    'x auth token',
    'session token',
    'session',
    'session id',
    'sid',
    'sig',
    'amz signature',
    'password hash',
    'api key 2',
  ];
  const styles: ((words: string[]) => string)[] = [
    (words) => words.join('_'),
    (words) => words.join('-'),
    (words) => words.join('_').toUpperCase(),
    (words) => words.map((word) => (word[0] ?? '').toUpperCase() + word.slice(1)).join('-'),
    (words) =>
      words.map((word, i) => (i === 0 ? word : (word[0] ?? '').toUpperCase() + word.slice(1))).join(''),
    (words) => words.map((word) => (word[0] ?? '').toUpperCase() + word.slice(1)).join(''),
    (words) => ['config', ...words].join('.'),
  ];
  for (const words of named.map((name) => name.split(' ')))
    for (const style of styles) {
      const name = style(words);
      const plural = /[0-9s]$/i.test(name) ? name : `${name}${/[A-Z]$/.test(name) ? 'S' : 's'}`;
      for (const one of [name, plural])
        for (const value of [secret, [secret], { a: [secret] }, new Map([['a', secret]]), new Error(secret)])
          assert.not.match(written({ deep: [{ [one]: value }] }), secret, one);
    }
  for (const name of [
    'apikey',
    'APIKEY',
    'PGPASSWORD',
    'accesstoken',
    'PHPSESSID',
    'pass',
    'pin',
    'connect.sid',
    'cookieJar',
  ])
    assert.not.match(written({ [name]: secret }), secret, name);
  for (const name of ['password', 'pin', 'otp', 'ssn'])
    assert.not.match(written({ [name]: 12_345_678 }), '12345678', name);
});

test('entries of maps, lists of headers and records of names are looked at like fields', () => {
  const secret = 'Zq9vTopValueZq9v';
  const headers = { Authorization: secret, 'X-Api-Key': secret, cookie: secret };
  const carriers: unknown[] = [
    Object.entries(headers),
    Object.entries(headers).flat(),
    ['Host', 'example.com', 'Cookie', `a=${secret}`],
    new Map(Object.entries(headers)),
    new Map<unknown, unknown>([
      [1, 2],
      ['nested', new Map([['password', secret]])],
    ]),
    new Headers(headers),
    new URLSearchParams({ api_key: secret, page: '2' }),
    new URL(`https://example.com/?api_key=${secret}`),
    Object.entries(headers).map(([name, value]) => ({ name, value })),
    Object.entries(headers).map(([key, value]) => ({ key, value: [value] })),
    [{ header: 'authorization', values: [secret] }],
    [{ name: 'sid', value: secret, domain: 'example.com', httpOnly: true }],
    [{ name: 'OPENAI_API_KEY', value: secret }],
  ];
  for (const carrier of carriers)
    for (const place of [carrier, { request: { carrier } }, [[carrier]], new Set([carrier])]) {
      const text = written(place);
      assert.not.match(text, secret, text);
      assert.match(text, 'redacted', text);
    }
  assert.equal(shown(new URLSearchParams({ api_key: secret, page: '2' })), {
    map: [
      ['api_key', '[redacted]'],
      ['page', '2'],
    ],
  });
  assert.equal(
    shown([
      ['accept', 'x'],
      ['authorization', secret],
    ]),
    [
      ['accept', 'x'],
      ['authorization', '[redacted]'],
    ],
  );
  assert.equal(shown([{ name: 'x-api-key', value: secret, description: 'of the shop' }]), [
    { name: 'x-api-key', value: '[redacted]', description: 'of the shop' },
  ]);
});

test('a secret is found whatever words are around it', () => {
  const words = fc.array(
    fc.constantFrom(
      'the',
      'key',
      'is:',
      '=',
      '"',
      'https://a.b/c',
      '\n',
      '-',
      'password',
      'token:',
      '{',
      '}',
      ' ',
      '120',
    ),
  );
  const secret = fc.constantFrom(...Object.values(tokens));
  fc.assert(
    fc.property(words, secret, words, (before, [start, one], after) => {
      const clean = shown(`${before.join(' ')} ${start}${one} ${after.join(' ')}`) as string;
      assert.not.match(clean, one.slice(-12));
    }),
    { numRuns: 500 },
  );
});

test('steps grow with the text, not faster, whatever is in it', () => {
  const general = [
    'a',
    '-',
    ' ',
    ':',
    '=',
    '"',
    '://',
    'bearer ',
    ' -u a',
    ' --a',
    '-----BEGIN PRIVATE KEY-----',
  ];
  const parts = Object.values(tokens).flatMap(([start, secret]) => [
    `${start}${secret.slice(0, 3)}`,
    `${start}${secret.slice(0, 10)}-`,
    `${start}${secret.slice(0, 20)}.`,
  ]);
  for (const pattern of [...tokenPatterns, ...textPatterns]) {
    const counted = new CountingRegExp(pattern);
    const few = (text: string): number => {
      counted.count(text);
      return counted.steps;
    };
    const start = /\(\?:(\w\w)/.exec(pattern.source)?.[1];
    for (const part of [...general, ...parts.filter((one) => start !== undefined && one.startsWith(start))]) {
      const short = few(part.repeat(Math.ceil(500 / part.length)));
      const long = few(part.repeat(Math.ceil(1_000 / part.length)));
      assert.ok(
        long < 2.5 * short + 500,
        `${pattern} on ${JSON.stringify(part)}: ${short}, then ${long} steps`,
      );
    }
  }
  // One that is slow, to know that it would be seen.
  const slow = new CountingRegExp(/\bey[\w-]{10,}\.x/g);
  slow.count('eyaa-'.repeat(100));
  const short = slow.steps;
  slow.count('eyaa-'.repeat(200));
  assert.ok(slow.steps > 3 * short);
  // So many characters: nothing that grows faster would come to an end.
  for (const part of [
    ...general,
    ...parts,
    'password="',
    "secret='",
    'token=[',
    'a://b:c',
    'key=',
    'password: y ',
  ])
    withoutSecrets(part.repeat(Math.ceil(100_000 / part.length)));
});

test.run();
