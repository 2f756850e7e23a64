/**
 * Secrets that are known by how they begin. The facts (prefix, characters, least length) are those of the rules of gitleaks
 * (https://github.com/gitleaks/gitleaks, config/gitleaks.toml of July 2026, MIT), and of the manuals of the providers of
 * models it does not have. Each begins with two plain characters. An end is not asked for, and each is a prefix and one run of
 * characters, or has bounds: a text that is made to be slow is looked at once.
 */
const tokens: readonly string[] = [
  // Models: OpenAI, Anthropic, DeepSeek, OpenRouter, Langfuse; Groq, Hugging Face, Replicate, Perplexity, xAI, Fireworks, NVIDIA,
  // Together, Cerebras, LangSmith, Tavily, Firecrawl, Jina, Voyage, E2B, Pinecone.
  'sk-[\\w-]{16,}',
  'gsk_\\w{20,}',
  'hf_[A-Za-z0-9]{30,}',
  'api_org_[A-Za-z0-9]{30,}',
  'r8_\\w{30,}',
  'pplx-\\w{30,}',
  'xai-[\\w-]{30,}',
  'fw_[A-Za-z0-9]{20,}',
  'nvapi-[\\w-]{30,}',
  'tgp_v1_[\\w-]{30,}',
  'csk-[a-z0-9]{30,}',
  'lsv2_(?:pt|sk)_\\w{30,}',
  'tvly-[\\w-]{20,}',
  'fc-[a-f0-9]{32}',
  'jina_\\w{30,}',
  'pa-[\\w-]{40,}',
  'e2b_[a-f0-9]{30,}',
  'pcsk_\\w{30,}',
  // What rxhive gives programs that answer questions.
  'rxcb_[a-f0-9]{32}',
  // Clouds.
  'AKIA[A-Z0-9]{16}',
  'ASIA[A-Z0-9]{16}',
  'ABIA[A-Z0-9]{16}',
  'ACCA[A-Z0-9]{16}',
  'A3T[A-Z0-9][A-Z0-9]{16}',
  'ABSK[A-Za-z0-9+/]{40,}=*',
  'bedrock-api-key-[\\w+/=-]{20,}',
  'AIza[\\w-]{35}',
  'ya29\\.[\\w.-]{20,}',
  'GOCSPX-[\\w-]{20,}',
  '1//0[\\w-]{30,}',
  'LTAI[A-Za-z0-9]{20}',
  'do[opr]_v1_[a-f0-9]{64}',
  'HRKU-AA[\\w-]{50,}',
  'v1\\.0-[a-f0-9]{24}-[a-f0-9]{146}',
  'fo1_[\\w-]{43}',
  'fm[12][ar]?_[\\w+/]{100,}=*',
  'tk-us-[\\w-]{48}',
  'sb(?:p|_secret)_[\\w-]{20,}',
  'sha256~[\\w-]{43}',
  // Code and packages.
  'gho_\\w{20,}',
  'ghp_\\w{20,}',
  'ghs_\\w{20,}',
  'ghu_\\w{20,}',
  'ghr_\\w{20,}',
  'github_pat_\\w{20,}',
  'gl(?:agent|cbt|dt|ffct|ft|imt|oas|pat|ptt|rt|soat)-[\\w.-]{20,}',
  'GR1348941[\\w-]{20}',
  'npm_[A-Za-z0-9]{36}',
  'pypi-[\\w-]{50,}',
  'rubygems_[a-f0-9]{48}',
  'CLOJARS_[a-z0-9]{60}',
  'AKCp[A-Za-z0-9]{69}',
  'cmVmd[A-Za-z0-9]{59}',
  'sgp_\\w{40,}',
  'ATATT3[\\w=-]{100,}',
  'pul-[a-f0-9]{40}',
  'atlasv1\\.[\\w=-]{60,}',
  // Messages and mail.
  'xox[abeoprs][-.][\\w.-]{10,}',
  'xapp-[\\w-]{20,}',
  'SG\\.[\\w=.-]{40,}',
  'SK[0-9a-f]{32}',
  'xkeysib-[\\w-]{60,}',
  'key-[0-9a-f]{32}',
  'EAA[CM][A-Za-z0-9]{80,}',
  // Money.
  'rk_(?:live|prod|test)_\\w{10,}',
  'sk_(?:live|prod|test)_\\w{10,}',
  'whsec_[\\w+/=]{20,}',
  'sq0(?:atp|csp)-[\\w-]{22,}',
  'shippo_(?:live|test)_[a-fA-F0-9]{40}',
  'shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}',
  'duffel_(?:live|test)_[\\w=-]{43}',
  'EZ[AT]K[A-Za-z0-9]{54}',
  'FLWSECK(?:_TEST)?-[\\w-]{12,}',
  // Keepers of secrets, data, watching, work.
  'hvb\\.[\\w-]{24,}',
  'hvs\\.[\\w-]{24,}',
  'dp\\.(?:audit|ct|pt|sa|scim|st)\\.[\\w.-]{40,}',
  'ops_eyJ[\\w+/]{100,}=*',
  'A3-[A-Z0-9]{6}-[A-Z0-9-]{24,}',
  'AGE-SECRET-KEY-1[A-Z0-9]{58}',
  'dapi[a-f0-9]{32}',
  'pscale_(?:oauth|pw|tkn)_[\\w.=-]{32,}',
  'pnu_\\w{36}',
  'dt0c01\\.[\\w.]{24,}',
  'gl(?:c|sa)_[\\w+/=]{32,}',
  'sntry[su]_[\\w+/=]{40,}',
  'lin_(?:api|oauth)_\\w{32,}',
  'ntn_\\w{40,}',
  'secret_[A-Za-z0-9]{43}',
  'PMAK-[\\w-]{50,}',
  'rdme_\\w{70}',
  'figd_[\\w-]{40}',
  'ico-[A-Za-z0-9]{32}',
  'API-[A-Z0-9]{26}',
  'p8e-[a-z0-9]{32}',
  'pat[A-Za-z0-9]{14}\\.[a-f0-9]{64}',
  'sm_[aps]at_\\w{16}',
  // JSON Web Tokens.
  'ey[A-Za-z0-9][\\w-]{12,}\\.[\\w-]{8,}(?:\\.[\\w-]*)?',
];

/** By their first two characters: hardly anything has to be asked for more than one or two of them. */
const byStart = new Map<string, RegExp>();
for (const token of tokens) {
  const start = token.slice(0, 2);
  const some = tokens.filter((one) => one.startsWith(start)).join('|');
  // Not within what may be a web token: else one with many dashes in it would be read from each.
  byStart.set(start, new RegExp(`(?<!${start === 'ey' ? '[\\w-]' : '[A-Za-z0-9]'})(?:${some})`, 'y'));
}

/** Those whose beginning is no fixed text, or an address; each with a text that is in all of them. */
const others: readonly (readonly [part: string, RegExp])[] = [
  ['Q~', /(?<=[\w~.]{3})\dQ~[\w~.-]{31,34}/g],
  [':AA', /(?<![A-Za-z0-9])\d{8,12}:AA[\w-]{30,}/g],
  ['hooks.slack.com/', /(?<=hooks\.slack\.com\/(?:services|triggers|workflows)\/)[\w+/-]{20,}/g],
  ['/api/webhooks/', /(?<=discord(?:app)?\.com\/api\/webhooks\/\d{10,25}\/)[\w-]{30,}/g],
  ['/webhookb2/', /(?<=\.webhook\.office\.com\/webhookb2\/)[\w@/-]{30,}/g],
];

/** Private keys, also one whose end is cut off. */
export const keyBlock =
  /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|$)/g;

/** All expressions, for tests of how long they take. */
export const tokenPatterns: readonly RegExp[] = [
  ...byStart.values(),
  ...others.map(([, one]) => one),
  keyBlock,
];

/** Where a token may begin. */
const starts = /(?<![A-Za-z0-9])[A-Za-z0-9]./g;

/** Characters of tokens: 1 for those that are. */
const ofRun = new Uint8Array(128);
for (const one of 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+/=.~:@-')
  ofRun[one.charCodeAt(0)] = 1;
const leastRun = 15;

/** A text with `hidden` in place of the tokens in it. */
export function withoutTokens(text: string, hidden: string): string {
  let clean = '';
  let from = 0;
  // What is long enough for a token has one of its characters at every place that is looked at: most are stepped over.
  for (let i = leastRun - 1, free = 0; i < text.length; i += leastRun) {
    if (ofRun[text.charCodeAt(i)] !== 1) continue;
    let start = i;
    while (start > free && ofRun[text.charCodeAt(start - 1)] === 1) start -= 1;
    while (ofRun[text.charCodeAt(i)] === 1) i += 1;
    free = i;
    if (i - start < leastRun) continue;
    const run = text.slice(start, i);
    const shown = ofRunWithout(run, hidden);
    if (shown === run) continue;
    clean += text.slice(from, start) + shown;
    from = i;
  }
  return from === 0 ? text : clean + text.slice(from);
}

function ofRunWithout(run: string, hidden: string): string {
  let clean = '';
  let from = 0;
  starts.lastIndex = 0;
  for (let found = starts.exec(run); found !== null; found = starts.exec(run)) {
    const [start] = found;
    const { index } = found;
    const pattern = byStart.get(start);
    starts.lastIndex = index + 1;
    if (pattern === undefined) continue;
    pattern.lastIndex = index;
    if (!pattern.test(run)) continue;
    clean += run.slice(from, index) + hidden;
    from = starts.lastIndex = pattern.lastIndex;
  }
  clean = from === 0 ? run : clean + run.slice(from);
  for (const [part, pattern] of others) if (clean.includes(part)) clean = clean.replace(pattern, hidden);
  return clean;
}
