export const removed = '[removed]';

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
  // Who signs in at a proxy or a registry within its URL.
  [/:\/\/[^\s/@]+@/g, `://${removed}@`],
  [/\b(\w*(?:pass(?:word|wd)?|secret|token)=)["']?[^\s"',;&[]+/gi, `$1${removed}`],
  [/("(?:auth|\w*(?:password|secret|token))"\s*:\s*")[^"]*/gi, `$1${removed}`],
];

/** The text without what looks like a secret. */
export const withoutSecrets = (text: string): string =>
  patterns.reduce((left, [pattern, replacement]) => left.replace(pattern, replacement), text);
