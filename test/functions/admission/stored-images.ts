import { encodeEvidence, evidenceOf } from '../../../core/image/evidence.ts';
import { ImageNameRepository } from '../../../core/image/image-name-repository.ts';
import { ImageRepository } from '../../../core/image/image-repository.ts';
import type { JudgedFinding } from '../../../core/image/image-schema.ts';
import type { TenantAccess } from '../../../core/tenant/tenant-access.ts';
import { day, now } from './scanned.ts';

type Given = {
  readonly digest: string;
  readonly references: readonly string[];
  readonly findings: readonly JudgedFinding[];
};

/** Keeps a result and its names, as an upload does. */
export async function store(
  { access, table }: { access: TenantAccess; table: string },
  tenantId: string,
  { digest, references, findings }: Given,
): Promise<void> {
  const result = {
    scanId: `${'0'.repeat(10)}${digest.slice(-10)}`,
    scannerName: 'trivy',
    scanner: 'trivy 0.72.0',
    scannedAt: now - day,
    aliases: { references: [...references], digests: [], platform: 'linux/amd64' },
    counts: { critical: 0, high: findings.length, medium: 0, low: 0, negligible: 0, unknown: 0 },
    evidence: encodeEvidence(evidenceOf(findings)),
    reportKey: `tenant/${tenantId}/scans/${digest}/${'0'.repeat(64)}.json.gz`,
    pages: 1,
  };
  const { image } = await new ImageRepository(access, table).keep(
    tenantId,
    digest,
    // The lookup forgets what has expired by its own clock.
    { result, at: now, expiresAt: Date.now() + 90 * day },
    { recorded: () => undefined },
  );
  await new ImageNameRepository(access, table).keep(tenantId, image);
}
