/** What the webhook sees of a control plane: its bundles, signed, over HTTP. The tests beside it say what it knows. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  calculateJwkThumbprint,
  CompactSign,
  type CryptoKey,
  exportJWK,
  generateKeyPair,
  type JWK,
} from 'jose';
import {
  type AdmissionBundle,
  type AdmissionRules,
  type BundledImage,
  bundleType,
} from '../../core/admission/admission-bundle.ts';
import { type AdmissionPolicy, admissionPolicy } from '../../core/admission/admission-policy.ts';
import type { Verdict } from '../../core/image/image-schema.ts';

export const tenantId = `t-${'a'.repeat(20)}`;
export const apiKey = 'cak_of-this-test';

export const digestOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;

/** A scanned image `registry.example/<name>:1`, whose digest is that of its name. */
export function scanned(name: string, verdict: Verdict, more: Partial<BundledImage> = {}): BundledImage {
  const scannedAt = Date.parse('2026-11-20T12:00:00Z');
  const digest = digestOf(name);
  const alias = `registry.example/${name}:1`;
  return {
    digest,
    names: [{ alias, platform: 'linux/amd64', scannedAt }],
    scannedAt,
    verdict,
    reasons: verdict === 'pass' ? [] : [{ rule: `cvss-${verdict}`, total: 1, findings: [finding] }],
    worsens: [],
    expiresAt: Date.parse('2036-01-01T00:00:00Z'),
    ...more,
  };
}
const finding = {
  vulnerability: 'CVE-2026-0001',
  package: 'musl',
  version: '1.1',
  fix: { versions: ['1.2'] },
};

export const enforcing: AdmissionRules = { mode: 'enforce', unscanned: 'fail', overrides: [] };

export type Asked = {
  readonly since: string | undefined;
  readonly cursor: string | undefined;
  readonly etag: string | undefined;
  readonly authorization: string | undefined;
};

/** Serves `GET /v1/admission-bundle`; what a test changes of it is served at the next question. */
export class ControlPlane {
  readonly #server: Server;
  readonly #key: CryptoKey;
  readonly #kid: string;
  readonly keys: { readonly keys: readonly JWK[] };
  /** Newest last: the state after the n-th is `asOf` n. */
  readonly #changes: (BundledImage | { readonly removed: string })[] = [];
  /** Images of a part. */
  partSize = 1_000;
  rules: AdmissionRules = enforcing;
  policy: AdmissionPolicy = admissionPolicy.parse({});
  tenantId = tenantId;
  /** Epoch milliseconds. */
  now: () => number = () => Date.now();
  /** Changes a payload before it is signed. */
  edit: (payload: AdmissionBundle) => object = (payload) => payload;
  /** Changes what has been signed. */
  spoil: (jws: string) => string = (jws) => jws;
  /** Answers instead. */
  fault: ((asked: Asked, outgoing: ServerResponse) => boolean) | undefined;
  readonly asked: Asked[] = [];
  url = '';

  private constructor(key: CryptoKey, jwk: JWK) {
    this.#key = key;
    this.#kid = jwk.kid ?? '';
    this.keys = { keys: [jwk] };
    this.#server = createServer((incoming, outgoing) => void this.#serve(incoming, outgoing));
  }

  static async start(): Promise<ControlPlane> {
    const { privateKey, publicKey } = await generateKeyPair('ES256');
    const jwk = await exportJWK(publicKey);
    const kid = await calculateJwkThumbprint(jwk);
    const plane = new ControlPlane(privateKey, { ...jwk, kid, use: 'sig', alg: 'ES256' });
    await plane.listen();
    return plane;
  }

  async listen(): Promise<void> {
    this.#server.listen(this.url === '' ? 0 : Number(new URL(this.url).port), '127.0.0.1');
    await once(this.#server, 'listening');
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Nobody answers there any more, until it listens again. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  scan(...images: readonly BundledImage[]): void {
    this.#changes.push(...images);
  }

  forget(digest: string): void {
    this.#changes.push({ removed: digest });
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(incoming.url ?? '', this.url);
    const asked: Asked = {
      since: searchParams.get('since') ?? undefined,
      cursor: searchParams.get('cursor') ?? undefined,
      etag: incoming.headers['if-none-match'],
      authorization: incoming.headers.authorization,
    };
    this.asked.push(asked);
    if (this.fault?.(asked, outgoing)) return;
    if (pathname !== '/v1/admission-bundle' || asked.authorization !== `Bearer ${apiKey}`) {
      outgoing.writeHead(401, { 'Content-Type': 'application/problem+json' });
      outgoing.end(JSON.stringify({ code: 'UNAUTHENTICATED' }));
      return;
    }
    const etag = `"${this.#changes.length}-${JSON.stringify([this.rules, this.policy]).length}"`;
    if (asked.etag === etag) {
      outgoing.writeHead(304).end();
      return;
    }
    const { part, of } = this.#part(asked);
    const jws = await this.sign(this.edit(part));
    outgoing.writeHead(200, {
      'Content-Type': 'application/jose',
      ...(of === 0 ? { ETag: etag } : {}),
    });
    outgoing.end(this.spoil(jws));
  }

  #part({ since, cursor }: Asked): { part: AdmissionBundle; of: number } {
    const [asOf, at] = cursor?.split('.') ?? [String(this.#changes.length), '0'];
    const of = Number(at);
    const from = since === undefined ? 0 : Number(since);
    const state = new Map<string, BundledImage | undefined>();
    for (const change of this.#changes.slice(from, Number(asOf))) {
      if ('removed' in change) state.set(change.removed, undefined);
      else state.set(change.digest, change);
    }
    const entries = [...state];
    const page = entries.slice(of * this.partSize, (of + 1) * this.partSize);
    const isLast = (of + 1) * this.partSize >= entries.length;
    return {
      of,
      part: {
        iss: this.url,
        sub: this.tenantId,
        iat: Math.floor(this.now() / 1_000),
        kind: since === undefined ? 'full' : 'delta',
        asOf: asOf ?? '',
        ...(since === undefined ? {} : { since }),
        part: of,
        ...(isLast ? {} : { next: `${asOf}.${of + 1}` }),
        revisions: { rules: 1, admission: 1 },
        rules: this.rules,
        policy: this.policy,
        images: page.flatMap(([, image]) => image ?? []),
        ...(since === undefined ? {} : { removed: page.flatMap(([name, image]) => (image ? [] : [name])) }),
      },
    };
  }

  sign(payload: object, header: object = {}): Promise<string> {
    return new CompactSign(Buffer.from(JSON.stringify(payload)))
      .setProtectedHeader({ alg: 'ES256', typ: bundleType, kid: this.#kid, ...header })
      .sign(this.#key);
  }
}
