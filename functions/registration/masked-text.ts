export const removed = '[removed]';

const secretName = String.raw`[\w-]*(?:pass(?:word|wd|phrase)?|secret|token|credentials?|api[_-]?key)[\w-]*`;
/** With quotes, all that is within them. */
const value = String.raw`(?:"[^"]*"?|'[^']*'?|[^\s"',;&[]+)`;

/**
 * What no report should hold, though an installer that quotes what a tool printed may send it: each pattern is wide, for
 * a text too much removed is read again in the cluster, and a secret stored stays. Order matters: whole before part.
 */
const patterns: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  // A private key in PEM, also when its beginning or its end was cut off.
  [/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[^]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)/g, removed],
  [/(?:[A-Za-z0-9+/=]|\\n|\s){16,}-----END [A-Z0-9 ]*PRIVATE KEY-----/g, removed],
  // The same in base64, as Secrets hold it: "-----BEGIN ".
  [/LS0tLS1CRUdJTi[A-Za-z0-9+/=]*/g, removed],
  // Our own credentials, whole or cut.
  [/c(?:ak|rt|cr)_[A-Za-z0-9]+/gi, removed],
  // JWTs (RFC 7519), and whatever else is JSON in base64: registries' credentials among it.
  [/eyJ[A-Za-z0-9_-]{8,}(?:[.+/=][A-Za-z0-9_+/=-]*)*/g, removed],
  [/\b(bearer)\s+[A-Za-z0-9._~+/=-]{6,}/gi, `$1 ${removed}`],
  [/\b(authorization["']?\s*[:=]\s*["']?)(?:\w+\s+)?[^\s"'[]+/gi, `$1${removed}`],
  // Who signs in at a proxy or a registry within its URL; a password may have an @, and unencoded a slash.
  [/:\/\/[^\s/]+@/g, `://${removed}@`],
  [/:\/\/[^\s/:@]+:[^\s@]+@/g, `://${removed}@`],
  [/((?:^|\s)(?:-u|--user|--proxy-user)[\s=]\s*)\S+:\S+/g, `$1${removed}`],
  [new RegExp(`\\b(${secretName}\\s?=\\s?)${value}`, 'gi'), `$1${removed}`],
  [/(--[\w-]*passw(?:or)?d\s+)(?:"[^"]*"?|'[^']*'?|[^\s"']+)/gi, `$1${removed}`],
  // As YAML has it; within a sentence what stands before a colon is rather its subject.
  [new RegExp(`^([ \\t-]*${secretName}\\s*:\\s+)${value}`, 'gim'), `$1${removed}`],
  [/("(?:auth|[\w-]*(?:password|secret|token|key))"\s*:\s*")[^"]*/gi, `$1${removed}`],
  // Whatever else is long, of either case and with digits: a key in base64 whose beginning has another place, a line of it.
  [/(?=[\w+/-]*[A-Z])(?=[\w+/-]*[a-z])(?=[\w+/-]*\d)[\w+/-]{60,}={0,2}/g, removed],
];

/** The text without what looks like a secret. */
export const withoutSecrets = (text: string): string =>
  patterns.reduce((left, [pattern, replacement]) => left.replace(pattern, replacement), text);
