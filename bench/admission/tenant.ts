import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { admissionPolicy } from '../../core/admission/admission-policy.ts';
import { AdmissionPolicyRepository } from '../../core/admission/admission-policy-repository.ts';
import { encodeEvidence, evidenceOf } from '../../core/image/evidence.ts';
import { ImageNameRepository } from '../../core/image/image-name-repository.ts';
import { imagePolicy } from '../../core/image/image-policy-schema.ts';
import { ImageRepository } from '../../core/image/image-repository.ts';
import { ImageRulesRepository } from '../../core/image/image-rules-repository.ts';
import type { JudgedFinding } from '../../core/image/image-schema.ts';
import { documentClient } from '../../core/tenant/tenant-access.ts';

const day = 86_400_000;

/** What is stored of the tenant that asks. */
export type Tenant = {
  readonly names: readonly string[];
  readonly digests: readonly string[];
};

/** Stores images of so many findings each under a tag, image rules with exceptions, and an admission policy with rules. */
export async function storeTenant(
  environment: Readonly<Record<string, string>>,
  tenantId: string,
  size: { readonly images: number; readonly findings: number; readonly exceptions: number },
): Promise<Tenant> {
  const client = new DynamoDBClient({
    endpoint: environment.AWS_ENDPOINT_URL ?? '',
    region: environment.AWS_REGION ?? '',
    credentials: {
      accessKeyId: environment.AWS_ACCESS_KEY_ID ?? '',
      secretAccessKey: environment.AWS_SECRET_ACCESS_KEY ?? '',
      sessionToken: environment.AWS_SESSION_TOKEN ?? '',
    },
  });
  const dynamo = documentClient(client);
  const access = () => ({ dynamo });
  const table = environment.TENANT_TABLE ?? '';
  const now = Date.now();

  const images = Array.from({ length: size.images }, (_, index) => ({
    digest: `sha256:${index.toString(16).padStart(64, '0')}`,
    name: `registry.example/shop/app-${index}:1`,
    findings: Array.from({ length: size.findings }, (__, each) => findingOf(index * size.findings + each)),
  }));
  const store = async ({ digest, name, findings }: (typeof images)[number]) => {
    const result = {
      scanId: `bench-${digest.slice(-8)}`,
      scannerName: 'grype',
      scanner: 'grype 0.104.0',
      scannedAt: now - day,
      aliases: { references: [name], digests: [], platform: 'linux/amd64' },
      counts: { critical: 0, high: 0, medium: findings.length, low: 0, negligible: 0, unknown: 0 },
      evidence: encodeEvidence(evidenceOf(findings)),
      reportKey: `tenant/${tenantId}/scans/${digest}/bench.json.gz`,
      pages: 1,
    };
    const { image } = await new ImageRepository(access, table).keep(
      tenantId,
      digest,
      { result, at: now, expiresAt: now + 90 * day },
      { recorded: () => undefined },
    );
    await new ImageNameRepository(access, table).keep(tenantId, image);
  };
  for (let at = 0; at < images.length; at += 16) await Promise.all(images.slice(at, at + 16).map(store));

  await new ImageRulesRepository(access, table).change(tenantId, (before) => ({
    ...before,
    policy: imagePolicy.parse({
      epss: { warnAt: 0.5 },
      graceDays: 14,
      maxScanAgeDays: 30,
      overrides: [{ repositories: ['registry.example/strict/**'], failAt: 7 }],
    }),
    exceptions: Array.from({ length: size.exceptions }, (_, index) => ({
      exceptionId: `bench${index.toString().padStart(11, '0')}`,
      vulnerability: `CVE-2026-${10_000 + index * 3}`,
      scope: 'any' as const,
      justification: 'known',
      expiresAt: new Date(now + 90 * day).toISOString(),
      author: 'user:bench',
      createdAt: new Date(now).toISOString(),
    })),
  }));
  const rules = Array.from({ length: 20 }, (_, index) => ({
    action: 'Reject',
    imagePath: { operator: 'IsOneOf', values: [`^registry\\.example/(old|test)-${index}/`] },
  }));
  const policy = admissionPolicy.parse({
    exemptNamespaces: ['kube-system', 'calico-*'],
    exemptImages: ['registry.k8s.io/**'],
    policies: [{ name: 'bench', rules }],
  });
  await new AdmissionPolicyRepository(access, table).write(tenantId, policy);
  client.destroy();
  return {
    names: images.map(({ name }) => name),
    digests: images.map(({ digest, name }) => `${name}@${digest}`),
  };
}

/** As a report of a distribution's packages has them: no two alike, most with a CVSS score, a date and an EPSS. */
function findingOf(index: number): JudgedFinding {
  const name = `package-${index % 400}`;
  const version = `${index % 7}.${index % 13}.${index % 29}-r${index % 3}`;
  return {
    vulnerability: `CVE-2026-${10_000 + index}`,
    aliases: index % 4 === 0 ? [`GHSA-${(index + 46_656).toString(36).padStart(4, '0')}-aaaa-bbbb`] : [],
    package: name,
    version,
    purl: `pkg:apk/alpine/${name}@${version}?arch=x86_64&distro=alpine-3.22.1`,
    location: '/lib/apk/db/installed',
    severity: index % 3 === 0 ? 'medium' : 'low',
    score: 2 + ((index * 7) % 50) / 10,
    epss: { score: (index % 100) / 400, percentile: (index % 100) / 100 },
    fix:
      index % 2 === 0 ? { state: 'fixed', versions: [`${version}1`] } : { state: 'not-fixed', versions: [] },
    publishedAt: new Date(Date.UTC(2026, index % 10, 1 + (index % 28))).toISOString(),
  };
}
