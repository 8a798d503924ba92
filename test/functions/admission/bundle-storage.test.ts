import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { DeleteCommand } from '@aws-sdk/lib-dynamodb';
import { compactVerify, createLocalJWKSet } from 'jose';
import { type AdmissionBundle, admissionBundle } from '../../../core/admission/admission-bundle.ts';
import { AdmissionPolicyRepository } from '../../../core/admission/admission-policy-repository.ts';
import { admissionPolicy } from '../../../core/admission/admission-policy.ts';
import { kmsBundleSigner } from '../../../core/admission/bundle-signer.ts';
import { BundledImages } from '../../../core/admission/bundled-images.ts';
import { AdmissionLookupRepository } from '../../../core/image/admission-lookup-repository.ts';
import { encodeEvidence, evidenceOf } from '../../../core/image/evidence.ts';
import { ImageChangeRepository } from '../../../core/image/image-change-repository.ts';
import { ImageNameRepository } from '../../../core/image/image-name-repository.ts';
import { imagePolicy } from '../../../core/image/image-policy-schema.ts';
import { imageKey, ImageRepository } from '../../../core/image/image-repository.ts';
import { ImageRulesRepository } from '../../../core/image/image-rules-repository.ts';
import type { JudgedFinding } from '../../../core/image/image-schema.ts';
import { judgeImage } from '../../../core/image/judge.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { admissionBundle as answerBundle, overlap } from '../../../functions/admission/admission-bundle.ts';
import { type BundleLimits, bundleLimits } from '../../../functions/admission/bundle-part.ts';
import { BundleStateRepository } from '../../../functions/admission/bundle-state-repository.ts';
import { handlers } from '../../../functions/admission/routes.ts';
import { type KmsStandIn, startKms } from '../../core/admission/kms-stand-in.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';
import { type Answered, caller, member } from '../api-call.ts';
import { digestOf, scored } from './scanned.ts';
import { site } from './site.ts';

let engine: Engine;
let kms: KmsStandIn;
beforeAll(async () => {
  [engine, kms] = await Promise.all([startEngine(), startKms()]);
});
afterAll(async () => {
  await Promise.all([engine.close(), kms.close()]);
});

const day = 86_400_000;
type Upload = {
  readonly digest: string;
  readonly scanner?: string;
  readonly findings?: readonly JudgedFinding[];
  readonly references?: readonly string[];
  readonly platform?: string;
  readonly scannedAt?: number;
};

/** One deployment over the tables. The clock is of today, as the repositories' own is. */
class Deployment {
  now = Date.now();
  readonly signer = kmsBundleSigner('key', kms.client);
  readonly images = new ImageRepository(engine.access, engine.tables.tenant);
  readonly names = new ImageNameRepository(engine.access, engine.tables.tenant);
  readonly changes = new ImageChangeRepository(engine.access, engine.tables.tenant);
  readonly rules = new ImageRulesRepository(engine.access, engine.tables.tenant);
  readonly policies = new AdmissionPolicyRepository(engine.access, engine.tables.tenant);
  readonly lookups = new AdmissionLookupRepository(engine.access, engine.tables.tenant, () => this.now);
  readonly deps = site({
    over: {
      lookups: this.lookups,
      images: this.images,
      changes: this.changes,
      rules: this.rules,
      policies: this.policies,
      states: new BundleStateRepository(engine.access, engine.tables.tenant),
      bundleSigner: this.signer,
      now: () => this.now,
    },
  }).deps;
  readonly #call = caller('admission', handlers(this.deps));

  /** As functions/image-scan does it: noted first. */
  async upload(
    tenantId: string,
    { digest, scanner = 'trivy', references = [], ...more }: Upload,
  ): Promise<void> {
    const { findings = [], platform, scannedAt = this.now } = more;
    const result = {
      scanId: `${scanner}-${scannedAt}-${findings.length}`,
      scannerName: scanner,
      scanner: `${scanner} 1`,
      scannedAt,
      aliases: { references: [...references], digests: [], ...(platform ? { platform } : {}) },
      counts: { critical: 0, high: findings.length, medium: 0, low: 0, negligible: 0, unknown: 0 },
      evidence: encodeEvidence(evidenceOf(findings)),
      reportKey: 'key',
      pages: 1,
    };
    await this.changes.note(tenantId, digest, this.now);
    const upload = { result, at: this.now, expiresAt: this.now + 90 * day };
    const { image } = await this.images.keep(tenantId, digest, upload, { recorded: () => undefined });
    await this.names.keep(tenantId, image);
  }

  get(
    tenantId: string,
    query: Record<string, string> = {},
    headers: Record<string, string> = {},
  ): Promise<Answered> {
    return this.#call({ path: '/v1/admission-bundle', query, headers, caller: member(tenantId) });
  }

  keys(): Promise<Answered> {
    return this.#call({ path: '/v1/admission-bundle/keys' });
  }

  async read(jws: string): Promise<AdmissionBundle> {
    const keys = (await this.keys()).json() as { keys: [] };
    const { payload } = await compactVerify(jws, createLocalJWKSet(keys), { algorithms: ['ES256'] });
    return admissionBundle.parse(JSON.parse(Buffer.from(payload).toString('utf8')));
  }

  /** All parts of a bundle, each of few images. */
  async whole(
    tenantId: string,
    since?: string,
    limits: Partial<BundleLimits> = {},
  ): Promise<AdmissionBundle[]> {
    const parts: AdmissionBundle[] = [];
    let cursor: string | undefined;
    do {
      const answer = await answerBundle(
        this.deps,
        { tenantId, since, cursor },
        { ...bundleLimits, images: 3, ...limits },
      );
      const part = await this.read(answer.body as string);
      parts.push(part);
      cursor = part.next;
    } while (cursor !== undefined);
    return parts;
  }
}

let deployment: Deployment;
let tenantId: string;
beforeEach(() => {
  deployment = new Deployment();
  tenantId = newTenantId();
});
const nth = (n: number) => digestOf(n.toString(16).padStart(4, '0'));

describe('the route', () => {
  test('answers a signed bundle, 304 to who has it, and the key set to everybody', async () => {
    await deployment.upload(tenantId, {
      digest: nth(1),
      references: ['nginx:1'],
      findings: [scored('CVE-2026-1', 9.8)],
    });
    deployment.now += overlap + 1;
    const answer = await deployment.get(tenantId);
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      'Content-Type': 'application/jose',
      'Cache-Control': 'private, no-cache',
    });
    const bundle = await deployment.read(answer.text);
    expect(bundle).toMatchObject({
      sub: tenantId,
      kind: 'full',
      images: [
        {
          digest: nth(1),
          verdict: 'fail',
          names: [{ alias: 'docker.io/library/nginx:1', platform: '' }],
        },
      ],
    });
    const { ETag = '' } = answer.headers;
    const again = await deployment.get(tenantId, { since: bundle.asOf }, { 'If-None-Match': ETag });
    expect([again.status, again.text, again.headers.ETag]).toEqual([304, '', ETag]);

    const keys = await deployment.keys();
    expect(keys.status).toBe(200);
    expect(keys.headers['Cache-Control']).toBe('public, max-age=300');
    expect(keys.json()).toEqual({ keys: [await deployment.signer.key()] });
  });

  test('needs the scope admission:review, and answers problems with their code', async () => {
    const call = caller('admission', handlers(deployment.deps));
    const path = '/v1/admission-bundle';
    const denied = await call({ path, caller: member(tenantId, 'editor') });
    expect([denied.status, denied.json().code]).toEqual([403, 'ACCESS_DENIED']);
    const wrong = await deployment.get(tenantId, { since: 'x' });
    expect([wrong.status, wrong.json().code]).toEqual([400, 'INVALID_CURSOR']);
    const long = await deployment.get(tenantId, { since: 'x'.repeat(2_049) });
    expect([long.status, long.json().code]).toEqual([400, 'INVALID_REQUEST']);
  });

  test('shows a tenant nothing of another', async () => {
    const other = newTenantId();
    await deployment.upload(other, { digest: nth(1), references: ['secret/app:1'] });
    await deployment.rules.change(other, (rules) => ({
      ...rules,
      policy: imagePolicy.parse({ unscanned: 'pass' }),
    }));
    await deployment.policies.write(other, admissionPolicy.parse({ unmatched: 'Allow' }));
    const [theirs] = await deployment.whole(other);
    expect(theirs).toMatchObject({ sub: other, images: [{ digest: nth(1) }], rules: { unscanned: 'pass' } });

    const [bundle] = await deployment.whole(tenantId);
    expect(bundle).toMatchObject({
      sub: tenantId,
      images: [],
      rules: { unscanned: 'fail' },
      policy: { unmatched: 'Verdict' },
    });
    const stolen = await deployment.get(tenantId, { since: theirs?.asOf ?? '' });
    expect(stolen.json().code).toBe('INVALID_CURSOR');
  });
});

describe('what a client knows that applies each bundle', () => {
  // Linear congruential: the same each time.
  let seed: number;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((seed / 2_147_483_648) * below);
  };
  const references = ['nginx:1', 'nginx:2', 'registry.example/app:1'];
  const aliases = [
    'docker.io/library/nginx:1',
    'docker.io/library/nginx:2',
    'registry.example/app:1',
    ...Array.from({ length: 8 }, (_, n) => nth(n)),
  ];

  async function changeSomething(): Promise<void> {
    for (let uploads = random(4); uploads > 0; uploads -= 1) {
      const publishedAt = new Date(deployment.now - random(5) * day).toISOString();
      const image = random(8);
      await deployment.upload(tenantId, {
        digest: nth(image),
        scanner: random(3) === 0 ? 'grype' : 'trivy',
        findings: random(2) === 0 ? [] : [scored('CVE-2026-1', 4 + random(6), { publishedAt })],
        references: references.filter(() => random(2) === 0),
        // Of an image it is always the same.
        platform: ['', 'linux/amd64', 'linux/arm64'][image % 3] ?? '',
        scannedAt: deployment.now - random(100) * 1_000,
      });
    }
    if (random(4) === 0) {
      const policy = imagePolicy.parse({
        failAt: 7 + random(3),
        graceDays: random(3),
        maxScanAgeDays: 5 + random(5),
      });
      await deployment.rules.change(tenantId, (rules) => ({ ...rules, policy }));
    }
    if (random(4) === 0) {
      await deployment.policies.write(
        tenantId,
        admissionPolicy.parse({ unmatched: random(2) ? 'Allow' : 'Verdict' }),
      );
    }
  }

  /** What reviews are answered from. */
  async function served() {
    const found = await deployment.lookups.find(tenantId, aliases);
    const rules = await deployment.rules.ready(tenantId, { item: found.rules });
    return aliases.map((alias) =>
      (found.images.get(alias) ?? [])
        .map((image) => `${image.digest} ${judgeImage(image, rules, deployment.now).verdict}`)
        .sort(),
    );
  }

  test('is what one knows that asks for all, and what reviews are answered from', async () => {
    const kinds = new Set<string>();
    for (seed of [1, 2, 3]) {
      tenantId = newTenantId();
      let kept = new BundledImages();
      let asOf: string | undefined;
      for (let round = 0; round < 12; round += 1) {
        await changeSomething();
        deployment.now += random(2) * day + random(100_000);
        const parts = await deployment.whole(tenantId, asOf);
        if (parts[0]?.kind === 'full') kept = new BundledImages();
        for (const part of parts) kept.apply(part);
        asOf = parts[0]?.asOf;
        kinds.add(`${parts[0]?.kind ?? ''}, ${parts.length > 1 ? 'several parts' : 'one part'}`);

        const fresh = new BundledImages();
        for (const part of await deployment.whole(tenantId)) fresh.apply(part);
        const known = (images: BundledImages) =>
          aliases.map((alias) =>
            images
              .named(alias, deployment.now)
              .map(({ digest, verdict }) => `${digest} ${verdict}`)
              .sort(),
          );
        expect(known(kept)).toEqual(known(fresh));
        expect(known(kept)).toEqual(await served());
      }
    }
    expect([...kinds].sort()).toEqual([
      'delta, one part',
      'delta, several parts',
      'full, one part',
      'full, several parts',
    ]);
  }, 30_000);

  test('an image that the table has forgotten is gone', async () => {
    await deployment.upload(tenantId, { digest: nth(1) });
    const [{ asOf } = { asOf: '' }] = await deployment.whole(tenantId);
    await engine.dynamo.send(
      new DeleteCommand({ TableName: engine.tables.tenant, Key: imageKey(tenantId, nth(1)) }),
    );
    const [delta] = await deployment.whole(tenantId, asOf);
    expect(delta).toMatchObject({ kind: 'delta', images: [], removed: [nth(1)] });
  });
});

describe('what does not answer', () => {
  test.each([
    ['GetItem', 'full'],
    ['Query', 'full'],
    ['Query', 'delta'],
    ['BatchGetItem', 'delta'],
  ])('%s, asked for a %s bundle: 503 UNAVAILABLE with Retry-After', async (operation, kind) => {
    await deployment.upload(tenantId, { digest: nth(1) });
    const [{ asOf } = { asOf: '' }] = await deployment.whole(tenantId);
    const query: Record<string, string> = kind === 'delta' ? { since: asOf } : {};
    engine.faults.failWhen((asked) => asked === operation);
    const answer = await deployment.get(tenantId, query).finally(() => engine.faults.mend());
    expect([answer.status, answer.json().code, answer.headers['Retry-After']]).toEqual([
      503,
      'UNAVAILABLE',
      '2',
    ]);
    expect((await deployment.read((await deployment.get(tenantId, query)).text)).images).toHaveLength(1);
  });
});

describe('units', () => {
  const exactly = unitsAreExact ? test : test.skip;

  exactly('304 costs one and a half reads, however many images there are', async () => {
    for (let n = 0; n < 20; n += 1) await deployment.upload(tenantId, { digest: nth(n) });
    await deployment.rules.change(tenantId, (rules) => ({
      ...rules,
      policy: imagePolicy.parse({ failAt: 8 }),
    }));
    await deployment.policies.write(tenantId, admissionPolicy.parse({}));
    deployment.now += overlap + 1;
    const { headers } = await deployment.get(tenantId);
    const spent = await engine.units(async () => {
      const answer = await deployment.get(tenantId, {}, { 'If-None-Match': headers.ETag ?? '' });
      expect(answer.status).toBe(304);
    });
    expect(spent).toEqual({ read: 1.5, write: 0 });
  });

  exactly('a part costs rules, policy, newest change, and half a read per 4 KB of its images', async () => {
    const findings = Array.from({ length: 50 }, (_, n) => scored(`CVE-2026-${1_000 + n}`, 5));
    for (let n = 0; n < 20; n += 1) await deployment.upload(tenantId, { digest: nth(n), findings });
    await deployment.rules.change(tenantId, (rules) => ({
      ...rules,
      policy: imagePolicy.parse({ failAt: 8 }),
    }));
    await deployment.policies.write(tenantId, admissionPolicy.parse({}));
    const { asOf } = await deployment.read((await deployment.get(tenantId)).text);
    const full = await engine.units(() => deployment.get(tenantId));
    const delta = await engine.units(() => deployment.get(tenantId, { since: asOf }));
    // All 20 together have 15 KB; a batch counts each for itself. The changes are 2.4 KB.
    expect(full).toEqual({ read: 3 + 2, write: 0 });
    expect(delta).toEqual({ read: 3 + 1 + 20 * 0.5, write: 0 });
  });
});
