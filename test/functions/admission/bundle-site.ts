/** What serves bundles, from a store in memory that stands in for the tables. */
import { gzipSync } from 'node:zlib';
import { compactVerify, createLocalJWKSet } from 'jose';
import { type AdmissionBundle, admissionBundle } from '../../../core/admission/admission-bundle.ts';
import { type AdmissionPolicy, admissionPolicy } from '../../../core/admission/admission-policy.ts';
import { kmsBundleSigner } from '../../../core/admission/bundle-signer.ts';
import { encodeEvidence, evidenceOf } from '../../../core/image/evidence.ts';
import type { ImageChange } from '../../../core/image/image-change-repository.ts';
import { type ImagePolicy, imagePolicy } from '../../../core/image/image-policy-schema.ts';
import { readyRules } from '../../../core/image/image-rules.ts';
import type { JudgedFinding } from '../../../core/image/image-schema.ts';
import { type ImageName, outcomeOf, type ScannedImage } from '../../../core/image/scanned-image.ts';
import type { Answer } from '../../../core/api/api-function.ts';
import {
  admissionBundle as answerBundle,
  type BundleDependencies,
  type BundleQuestion,
} from '../../../functions/admission/admission-bundle.ts';
import { type BundleLimits, bundleLimits } from '../../../functions/admission/bundle-part.ts';
import type { KmsStandIn } from '../../core/admission/kms-stand-in.ts';
import { day, now } from './scanned.ts';

export const [ours, theirs] = ['t-aaaaaaaaaaaaaaaaaaaa', 't-bbbbbbbbbbbbbbbbbbbb'];
/** The digest of the nth image: in the order of the numbers. */
export const numbered = (n: number) => `sha256:${String(n).padStart(64, '0')}`;

type Given = {
  readonly findings?: readonly JudgedFinding[];
  readonly names?: readonly ImageName[];
  readonly scannedAt?: number;
  readonly expiresAt?: number;
};

export function stored(digest: string, given: Given = {}): ScannedImage {
  const { findings = [], names = [], scannedAt = now - day, expiresAt = now + 90 * day } = given;
  const result = outcomeOf({
    scanId: 'scan',
    scannerName: 'trivy',
    scanner: 'trivy 0.72.0',
    scannedAt,
    aliases: { references: [], digests: [] },
    counts: { critical: 0, high: 0, medium: 0, low: 0, negligible: 0, unknown: 0 },
    evidence: encodeEvidence(evidenceOf(findings)),
    reportKey: 'key',
    pages: 0,
  });
  const clusters = new Map<string, number>();
  return { digest, revision: 1, results: [result], names, clusters, firstSeenAt: scannedAt, expiresAt };
}

export class BundleSite {
  now = now;
  images = new Map<string, ScannedImage>();
  changes: ImageChange[] = [];
  rules: { revision: number; policy: ImagePolicy } | undefined;
  policy: { revision: number; policy: AdmissionPolicy } | undefined;
  /** What fails, by the name of the dependency. */
  broken: 'states' | 'changes' | 'images' | 'rules' | undefined;
  /** Called before each page of images is read. */
  onRead: () => void = () => undefined;
  /** How often images were read. */
  reads = 0;
  readonly #kms: KmsStandIn;
  readonly #signer;

  constructor(kms: KmsStandIn) {
    this.#kms = kms;
    this.#signer = kmsBundleSigner('key', kms.client);
  }

  setRules(policy: object): void {
    this.rules = { revision: (this.rules?.revision ?? 0) + 1, policy: imagePolicy.parse(policy) };
  }

  setPolicy(policy: object): void {
    this.policy = { revision: (this.policy?.revision ?? 0) + 1, policy: admissionPolicy.parse(policy) };
  }

  /** An upload: the change is noted at `at`, and the image is there. */
  upload(image: ScannedImage, at = this.now): void {
    this.note(image.digest, at);
    this.images.set(image.digest, image);
  }

  note(digest: string, at = this.now): void {
    this.changes.push({ at, digest, position: `${String(at).padStart(15, '0')}#${digest}` });
    this.changes.sort((a, b) => (a.position < b.position ? -1 : 1));
  }

  get deps(): BundleDependencies {
    const may = (name: BundleSite['broken']) =>
      this.broken === name ? Promise.reject(new Error(`${name} do not answer`)) : Promise.resolve();
    return {
      states: {
        read: async () => {
          await may('states');
          const { rules, policy } = this;
          return {
            rules: rules && { revision: rules.revision },
            policy: policy && { revision: policy.revision, policy: gzipSync(JSON.stringify(policy.policy)) },
          };
        },
      },
      changes: {
        newest: async () => {
          await may('changes');
          return this.changes.at(-1);
        },
        since: async (_tenant, { after, until, limit }) => {
          await may('changes');
          const behind = this.changes.filter(
            (each) =>
              each.at <= until && (typeof after === 'number' ? each.at >= after : each.position > after),
          );
          return { changes: behind.slice(0, limit), more: behind.length > limit };
        },
      },
      images: {
        list: async (_tenant, { after = '', limit }) => {
          this.#read();
          await may('images');
          const behind = [...this.images.values()]
            .filter(({ digest }) => digest > after)
            .sort((a, b) => (a.digest < b.digest ? -1 : 1));
          return { images: behind.slice(0, limit), more: behind.length > limit };
        },
        findMany: async (_tenant, digests) => {
          this.#read();
          await may('images');
          return digests.flatMap((digest) => this.images.get(digest) ?? []);
        },
      },
      rules: {
        ready: async () => {
          await may('rules');
          const { revision, policy } = this.rules ?? { revision: 0, policy: imagePolicy.parse({}) };
          return readyRules({ revision, policy, exceptions: [], statements: [] });
        },
      },
      bundleSigner: this.#signer,
      apiUrl: 'https://api.example/prod',
      now: () => this.now,
    };
  }

  #read(): void {
    this.reads += 1;
    this.onRead();
  }

  answer(
    question: Omit<BundleQuestion, 'tenantId'> & { tenantId?: string } = {},
    limits: Partial<BundleLimits> = {},
  ) {
    return answerBundle(this.deps, { tenantId: ours, ...question }, { ...bundleLimits, ...limits });
  }

  /** One part, its signature verified. */
  async part(question: Omit<BundleQuestion, 'tenantId'> = {}, limits: Partial<BundleLimits> = {}) {
    return this.read(await this.answer(question, limits));
  }

  async read({ body }: Answer): Promise<AdmissionBundle> {
    const keys = createLocalJWKSet({ keys: [await this.#signer.key()] });
    const { payload, protectedHeader } = await compactVerify(body as string, keys, { algorithms: ['ES256'] });
    if (protectedHeader.typ !== 'cattery-admission-bundle+jws') throw new Error('not a bundle');
    return admissionBundle.parse(JSON.parse(Buffer.from(payload).toString('utf8')));
  }

  /** All parts of a bundle, in their order. */
  async whole(question: Omit<BundleQuestion, 'tenantId'> = {}, limits: Partial<BundleLimits> = {}) {
    const parts = [await this.part(question, limits)];
    for (let cursor = parts[0]?.next; cursor !== undefined; cursor = parts.at(-1)?.next) {
      parts.push(await this.part({ ...question, cursor }, limits));
    }
    return parts;
  }

  get signatures(): number {
    return this.#kms.asked.filter(({ operation }) => operation === 'Sign').length;
  }
}
