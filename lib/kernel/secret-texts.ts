import { mayName, secrecyOf } from './secret-names.js';
import { keyBlock, withoutTokens } from './secret-tokens.js';

/** In place of what is hidden. */
export const hidden = '[redacted]';

/**
 * A text without what looks like a secret: tokens of providers, private keys, passwords in addresses and on command lines,
 * values of names that are of secrets (`password=...`, `"apiKey": "..."`, headers, cookies, queries). Takes time as the text
 * is long, whatever is in it.
 */
export function withoutSecrets(text: string): string {
  let clean = text;
  if (clean.includes('PRIVATE KEY')) clean = clean.replace(keyBlock, hidden);
  if (clean.includes('://')) clean = withoutPasswords(clean);
  clean = withoutTokens(clean, hidden);
  clean = withoutValues(clean);
  clean = clean.replace(scheme, (all, name: string, value: string) =>
    looksSecret(value) || value.length >= 16 ? `${name}${hidden}` : all,
  );
  return clean.includes(' -') ? withoutFlags(clean) : clean;
}

const scheme = /\b((?:bearer|basic)[ \t]{1,4})([\w.~+/=-]{8,})/gi;

/** `process.env.API_KEY` */
const member = /^[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)+$/;

/** No ordinary word: with a digit, a sign or a capital within it, or very long; no path of code. */
export function looksSecret(value: string): boolean {
  if (value.length < 6 || value.startsWith(hidden) || member.test(value)) return false;
  return value.length >= 20 || /\d|[a-z][A-Z]|[^\w\s.,:!?'-]/.test(value.replace(/[.,:;!?]+$/, ''));
}

/** Up to the end of an address, or the beginning of the next. */
const rest = /(?<=:\/\/)(?:(?!:\/\/)[^\s"'`<>\\])*/y;

/** Addresses without the passwords in them. */
function withoutPasswords(text: string): string {
  let clean = '';
  let from = 0;
  for (let at = text.indexOf('://'); at >= 0; at = text.indexOf('://', rest.lastIndex)) {
    rest.lastIndex = at + 3;
    const address = rest.exec(text)?.[0] ?? '';
    rest.lastIndex = at + 3 + address.length;
    const [start, end] = passwordIn(address) ?? [0, 0];
    if (end === 0) continue;
    clean += `${text.slice(from, at + 3 + start)}${hidden}`;
    from = at + 3 + end;
  }
  return from === 0 ? text : clean + text.slice(from);
}

function passwordIn(address: string): [start: number, end: number] | undefined {
  const name = /^[^/?#:@[]{0,200}/.exec(address)?.[0] ?? '';
  const next = address[name.length];
  // A token in place of the name.
  if (next === '@') return name.length >= 20 && /\d/.test(name) ? [0, name.length] : undefined;
  const start = name.length + 1;
  if (next !== ':' || address[start] === '/' || /^\d{1,5}(?:[/?#]|$)/.test(address.slice(start, start + 6)))
    return undefined;
  // A password may have an @, a slash, or what else should be written as %40.
  const query = address.slice(start).search(/[?#]/);
  let end = address.lastIndexOf('@', query < 0 ? address.length : start + query);
  if (end <= start && query >= 0) end = address.lastIndexOf('@');
  return end > start && !/[&=]/.test(address.slice(start, end)) ? [start, end] : undefined;
}

const separator = /[=:]/g;
const plainEnd = /[\s"'`,;&)}\]<>|]/g;
const spaceEnd = /[\s"'`]/g;
const lineEnd = /[\n\r"'`]/g;
const nothing = /^(?:true|false|null|undefined|none|nil|nan|\*+|\$\{?\w+\}?|<[^>]*)$/i;

/** Names are given back with what belongs to them hidden, where they are of secrets. */
function withoutValues(text: string): string {
  let clean = '';
  let from = 0;
  separator.lastIndex = 0;
  for (let found = separator.exec(text); found !== null; found = separator.exec(text)) {
    const value = secretAfter(text, found.index);
    if (value === undefined) continue;
    const [start, end] = value;
    clean += `${text.slice(from, start)}${hidden}`;
    from = separator.lastIndex = end;
  }
  return from === 0 ? text : clean + text.slice(from);
}

/** Where the secret behind a separator is; undefined where there is none. */
function secretAfter(text: string, at: number): [start: number, end: number] | undefined {
  const name = nameBefore(text, at);
  if (name === undefined) return undefined;
  const { secrecy, query, spaced, first } = name;
  let start = at + 1;
  while (start < at + 3 && /[=:>]/.test(text[start] ?? '')) start += 1;
  const sign = start;
  while (start < sign + 4 && (text[start] === ' ' || text[start] === '\t')) start += 1;
  const near = text[at] === '=' && !spaced && start === sign;
  while (text[start] === '\\') start += 1;
  const quote = text[start];
  if (quote === '"' || quote === "'" || quote === '`') return quoted(text, start, quote);
  if (secrecy !== undefined && (quote === '[' || quote === '{')) return listed(text, start, quote);
  const wide = /^(?:set-)?cookie2?$|authorization$/i.test(name.text);
  const ends = wide ? lineEnd : /^[A-Z][A-Z0-9_]*$/.test(name.text) && near ? spaceEnd : plainEnd;
  ends.lastIndex = start;
  const end = ends.exec(text)?.index ?? text.length;
  const value = text.slice(start, end);
  if (value === '' || nothing.test(value) || value.startsWith(hidden)) return undefined;
  if (/^[\d.]+$/.test(value)) return secrecy === 'all' && value.length >= 4 ? [start, end] : undefined;
  const code = value.includes('(') || text[end] === '(' || member.test(value);
  const alone = secrecy === 'all' && first && /^[ \t]*(?:[\n\r]|$)/.test(text.slice(end, end + 8));
  const sure = wide
    ? value.split(/\s/, 20).some(looksSecret)
    : !code &&
      ((near && secrecy !== undefined) ||
        alone ||
        (looksSecret(value) && (!query || secrecy !== undefined || value.length >= 16)));
  return sure ? [start, end] : undefined;
}

function quoted(text: string, at: number, quote: string): [number, number] | undefined {
  const escaped = text[at - 1] === '\\';
  let end = text.indexOf(quote, at + 1);
  while (!escaped && end > 0 && text[end - 1] === '\\') end = text.indexOf(quote, end + 1);
  const last = end < 0 ? text.length : escaped && text[end - 1] === '\\' ? end - 1 : end;
  const value = text.slice(at + 1, last);
  return value === '' || nothing.test(value) || value.startsWith(hidden) ? undefined : [at + 1, last];
}

/** A list or record of secrets, up to its end. */
function listed(text: string, at: number, opens: '[' | '{'): [number, number] | undefined {
  const end = text.indexOf(opens === '[' ? ']' : '}', at);
  const last = end < 0 ? text.length : end + 1;
  return /["'`]/.test(text.slice(at, last)) ? [at, last] : undefined;
}

interface Named {
  readonly text: string;
  readonly secrecy: ReturnType<typeof secrecyOf>;
  /** Of a query, where more names are of secrets. */
  readonly query: boolean;
  readonly spaced: boolean;
  /** It begins its line. */
  readonly first: boolean;
}

const inQueries = /^(?:key|code|signature|x-(?:amz|goog)-(?:signature|credential|security-token))$/i;

/** The name before a separator, where it could be of a secret. */
function nameBefore(text: string, at: number): Named | undefined {
  let end = back(text, at, blank, 4);
  const spaced = end < at;
  if (text[end - 1] === ']') end -= 1;
  if (/["'`]/.test(text[end - 1] ?? '')) end -= 1;
  end = back(text, end, backslash, 3);
  let start = back(text, end, named, longestName);
  while (start < end && !/[A-Za-z_]/.test(text[start] as string)) start += 1;
  const name = text.slice(start, end);
  if (!mayName.test(name)) return undefined;
  let secrecy = secrecyOf(name);
  // API key: ...
  if (
    secrecy === undefined &&
    blank(text.charCodeAt(start - 1)) &&
    /^(?:code|id|key|pin|pass|string)s?$/i.test(name)
  )
    secrecy = secrecyOf(text.slice(back(text, start - 1, named, 40), end));
  const query = /[?&;]/.test(text[start - 1] ?? '');
  if (secrecy === undefined && !(query && inQueries.test(name))) return undefined;
  const line = text.slice(Math.max(0, start - 40), start);
  const first = /(?:^|[\n\r])[ \t\-{"']*(?:export[ \t])?$/.test(line) && (start <= 40 || /[\n\r]/.test(line));
  return { text: name, secrecy, query, spaced, first };
}

const longestName = 64;
const blank = (code: number): boolean => code === 32 || code === 9;
const backslash = (code: number): boolean => code === 92;
/** Letters, digits, `_`, `-`, `.`. */
const named = (code: number): boolean =>
  (code >= 97 && code <= 122) ||
  (code >= 65 && code <= 90) ||
  (code >= 48 && code <= 57) ||
  code === 95 ||
  code === 45 ||
  code === 46;

/** Where up to so many characters of a kind before a place begin. */
function back(text: string, at: number, kind: (code: number) => boolean, most: number): number {
  let start = at;
  while (start > 0 && at - start < most && kind(text.charCodeAt(start - 1))) start -= 1;
  return start;
}

const login = /(?<=\s)(-u|--user|--proxy-user)([ =]["']?)([^\s:"']{1,100}:)([^\s"']+)/g;
const flag = /(?<![\w-])(--?)([A-Za-z][\w-]{1,63})([ \t]{1,4}["']?)([^\s"'-][^\s"']*)/g;

/** What is given on command lines: `--password x`, `-u name:x`. */
function withoutFlags(text: string): string {
  return text
    .replace(login, (all, sign, gap, name, value) =>
      /^\d+$/.test(value) || value.startsWith(hidden) ? all : `${sign}${gap}${name}${hidden}`,
    )
    .replace(flag, (all, dashes, name, gap, value) => {
      const secrecy = secrecyOf(name);
      const open =
        nothing.test(value) || value.startsWith(hidden) || (secrecy === 'texts' && /^\d+$/.test(value));
      return secrecy === undefined || open ? all : `${dashes}${name}${gap}${hidden}`;
    });
}

/** All expressions that are looked for in whole texts, for tests of how long they take. */
export const textPatterns: readonly RegExp[] = [scheme, rest, login, flag];

/** What no message may show of an address: all of it, and the password in it, as written and as meant. */
export function secretsIn(address: string): string[] {
  const written = [
    /^\w+:\/\/[^/?#]*?:([^/?#]*)@/.exec(address)?.[1],
    /[?&]password=([^&#]*)/.exec(address)?.[1],
  ].filter((one) => one !== undefined && one !== '') as string[];
  return [address, ...written, ...written.map(unescaped)];
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // It is no escape: as it is written.
  }
}
