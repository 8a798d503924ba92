import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** AWS Signature Version 4, the receiving side: what a request claims about its signer, and whether the claim is true. */

export type SignedRequest = {
  accessKeyId: string;
  service: string;
  region: string;
  /** `date/region/service/aws4_request` */
  scope: string;
  /** `20261123T070000Z` */
  date: string;
  signedHeaders: string[];
  signature: string;
  sessionToken: string | undefined;
  presigned: { expiresSeconds: number } | undefined;
};

const credentialPattern = /^([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request$/;

/** Reads the `Authorization` header or the presigned query. Undefined: the request is not signed, or not by this scheme. */
export function readSignature(request: IncomingMessage, query: URLSearchParams): SignedRequest | undefined {
  const header = request.headers.authorization;
  if (header?.startsWith('AWS4-HMAC-SHA256 ')) {
    const fields = new Map(
      header
        .slice('AWS4-HMAC-SHA256 '.length)
        .split(',')
        .map((field) => field.trim())
        .map((field) => [field.slice(0, field.indexOf('=')), field.slice(field.indexOf('=') + 1)] as const),
    );
    return claim(
      fields.get('Credential'),
      fields.get('SignedHeaders'),
      fields.get('Signature'),
      single(request.headers['x-amz-date']),
      single(request.headers['x-amz-security-token']),
      undefined,
    );
  }
  if (query.get('X-Amz-Algorithm') === 'AWS4-HMAC-SHA256') {
    const expires = Number(query.get('X-Amz-Expires'));
    if (!Number.isInteger(expires) || expires < 1 || expires > 604_800) return undefined;
    return claim(
      query.get('X-Amz-Credential') ?? undefined,
      query.get('X-Amz-SignedHeaders') ?? undefined,
      query.get('X-Amz-Signature') ?? undefined,
      query.get('X-Amz-Date') ?? undefined,
      query.get('X-Amz-Security-Token') ?? undefined,
      { expiresSeconds: expires },
    );
  }
  return undefined;
}

function claim(
  credential: string | undefined,
  signedHeaders: string | undefined,
  signature: string | undefined,
  date: string | undefined,
  sessionToken: string | undefined,
  presigned: SignedRequest['presigned'],
): SignedRequest | undefined {
  const parts = credentialPattern.exec(credential ?? '');
  const [, accessKeyId, day, region, service] = parts ?? [];
  if (!accessKeyId || !day || !region || !service || !signedHeaders || !signature) return undefined;
  if (!/^[0-9a-f]{64}$/.test(signature) || !date || !/^\d{8}T\d{6}Z$/.test(date) || !date.startsWith(day))
    return undefined;
  const names = signedHeaders.split(';');
  // Without the host, a signature would hold for any endpoint.
  if (!names.includes('host')) return undefined;
  return {
    accessKeyId,
    service,
    region,
    scope: `${day}/${region}/${service}/aws4_request`,
    date,
    signedHeaders: names,
    signature,
    sessionToken,
    presigned,
  };
}

/** When a presigned request stops being valid, in epoch milliseconds. */
export function presignedUntil(signed: SignedRequest): number | undefined {
  if (!signed.presigned) return undefined;
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(signed.date) ?? [];
  const at = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
  );
  return at + signed.presigned.expiresSeconds * 1000;
}

/** True when the signature is the one that this secret gives. `payloadHash` is the hex SHA-256 of the body or what stands for it. */
export function signatureHolds(
  signed: SignedRequest,
  secretAccessKey: string,
  request: IncomingMessage,
  rawPath: string,
  rawQuery: string,
  payloadHash: string,
): boolean {
  const canonicalRequest = [
    request.method ?? 'GET',
    // S3 signs the path as it is sent; the other services have the path `/` only, which double encoding leaves as it is.
    rawPath,
    canonicalQuery(rawQuery),
    ...signed.signedHeaders.map((name) => `${name}:${headerValue(request, name)}`),
    '',
    signed.signedHeaders.join(';'),
    payloadHash,
  ].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', signed.date, signed.scope, sha256(canonicalRequest)].join('\n');
  const expected = hmac(signingKey(secretAccessKey, signed.scope), toSign);
  return timingSafeEqual(expected, Buffer.from(signed.signature, 'hex'));
}

export const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

const hmac = (key: Buffer | string, text: string): Buffer => createHmac('sha256', key).update(text).digest();

function signingKey(secretAccessKey: string, scope: string): Buffer {
  const [day = '', region = '', service = ''] = scope.split('/');
  return hmac(hmac(hmac(hmac(`AWS4${secretAccessKey}`, day), region), service), 'aws4_request');
}

/** Sorted, RFC 3986 encoded, without the signature itself. */
function canonicalQuery(rawQuery: string): string {
  if (rawQuery === '') return '';
  return rawQuery
    .split('&')
    .map((pair) => {
      const at = pair.indexOf('=');
      const [name, value] = at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
      return [recode(name), recode(value)] as const;
    })
    .filter(([name]) => name !== 'X-Amz-Signature')
    .sort(([a, x], [b, y]) => compare(a, b) || compare(x, y))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function recode(text: string): string {
  let plain: string;
  try {
    plain = decodeURIComponent(text.replaceAll('+', '%20'));
  } catch {
    plain = text;
  }
  return encodeURIComponent(plain).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

const headerValue = (request: IncomingMessage, name: string): string =>
  (single(request.headers[name]) ?? '').trim().replace(/ +/g, ' ');

const single = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(',') : value;
