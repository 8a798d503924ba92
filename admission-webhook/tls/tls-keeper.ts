import type { Logger } from 'pino';
import * as z from 'zod';
import type { KeyedCertificate } from '../../core/certificate/keyed-certificate.ts';
import { type KubeApi, KubeApiError } from '../kubernetes/kube-api.ts';
import { type Circumstances, fromSecret, renewed, toSecret, trustedCas } from './tls-material.ts';

const metadata = z.object({ name: z.string(), resourceVersion: z.string() });
const secret = z.looseObject({ metadata, data: z.record(z.string(), z.string()).nullish() });
const configuration = z.object({
  metadata,
  webhooks: z
    .array(z.object({ name: z.string(), clientConfig: z.object({ caBundle: z.string().optional() }) }))
    .nullish(),
});
type Configuration = z.infer<typeof configuration>;

/** Somebody else was faster; what comes of it is read and looked at again. */
const maxTries = 6;

export type TlsDependencies = {
  readonly kube: Pick<KubeApi, 'read' | 'replace' | 'patch'>;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  readonly now: () => number;
  readonly random: Circumstances['random'];
};

export type TlsPlaces = {
  /** Path of the Secret, which must exist; it may be empty. */
  readonly secret: string;
  /** Path of the ValidatingWebhookConfiguration; while there is none, nothing is announced. */
  readonly configuration: string;
  readonly names: Circumstances['names'];
};

/**
 * Brings the Secret, and what the API servers trust by it, to what is due, and gives the certificate to show. However
 * many replicas do this at once, they end with one Secret: each change is made on the version that was read. Rejects
 * with KubeApiError when the API is away or there is no Secret.
 */
export async function keepTls(deps: TlsDependencies, places: TlsPlaces): Promise<KeyedCertificate> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await keepOnce(deps, places);
    } catch (error) {
      if (!(error instanceof KubeApiError) || error.status !== 409 || attempt === maxTries) throw error;
    }
  }
}

async function keepOnce(
  { kube, logger, now, random }: TlsDependencies,
  { secret: secretPath, configuration: configurationPath, names }: TlsPlaces,
): Promise<KeyedCertificate> {
  // First what is patched last: if a replica with a newer Secret is faster, the patch meets a newer version.
  const read = await kube.read(configurationPath);
  const configured = read === undefined ? undefined : configuration.parse(read);
  const stored = await kube.read(secretPath);
  if (stored === undefined)
    throw new KubeApiError(404, `there is no Secret at ${secretPath}: apply the manifest`);
  const kept = secret.parse(stored);

  let material = fromSecret(decoded(kept.data ?? {}));
  const renewal = await renewed(material, { names, now: now(), random, trusted: trustedBy(configured) });
  if (renewal) {
    await kube.replace(secretPath, { ...kept, data: encoded(toSecret(renewal.material)) });
    logger.info({ event: 'certificates-renewed', why: renewal.why }, 'certificates renewed');
    material = renewal.material;
  }
  if (!material) throw new Error('there is no certificate');
  if (configured) await announce(kube, configurationPath, configured, trustedCas(material));
  else logger.warn({ event: 'not-configured' }, 'there is no ValidatingWebhookConfiguration of this webhook');
  return material.leaf;
}

async function announce(
  kube: Pick<KubeApi, 'patch'>,
  path: string,
  { metadata: { resourceVersion }, webhooks }: Configuration,
  pem: string,
): Promise<void> {
  const caBundle = Buffer.from(pem).toString('base64');
  const others = (webhooks ?? []).filter(({ clientConfig }) => clientConfig.caBundle !== caBundle);
  if (others.length === 0) return;
  await kube.patch(path, {
    metadata: { resourceVersion },
    webhooks: others.map(({ name }) => ({ name, clientConfig: { caBundle } })),
  });
}

/** What all of its webhooks are trusted by, PEM. */
function trustedBy(configured: Configuration | undefined): string {
  const bundles = (configured?.webhooks ?? []).map(({ clientConfig }) => clientConfig.caBundle ?? '');
  const [first = '', ...more] = bundles;
  return more.every((bundle) => bundle === first) ? Buffer.from(first, 'base64').toString('utf8') : '';
}

const decoded = (data: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]),
  );
const encoded = (entries: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(entries).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  );
