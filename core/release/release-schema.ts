import * as z from 'zod';

/** A release of Calico, with its `v`. Versions before it was released (`v3.33.0-rc1`) are not offered. */
export const releaseVersion = z.string().regex(/^v\d{1,3}\.\d{1,3}\.\d{1,3}$/, 'must be like v3.32.1');

/** What every installation applies, in the order in which it does. */
export const manifestNames = ['operator-crds.yaml', 'tigera-operator.yaml', 'custom-resources.yaml'] as const;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits in lower case');
const kubernetesVersion = z.string().regex(/^1\.\d{1,3}$/, 'must be like 1.36');

const manifestFile = z.strictObject({
  name: z.enum(manifestNames),
  /** Where upstream serves it, at the release's tag. */
  url: z.httpUrl().startsWith('https://', 'must begin with https://'),
  sha256,
  bytes: z.int().positive().max(20_000_000),
});

/** Of what an image is a part: which clusters pull it. */
export const imageUses = [
  'always',
  'windows',
  'fips',
  'certificate-management',
  'gateway-api',
  'istio',
  'v3-crds',
] as const;

const use = imageUses.filter((each) => each !== 'always').join('|');
export const imagesQuery = z.object({
  with: z
    .string()
    .regex(new RegExp(`^(?:all|(?:${use})(?:,(?:${use}))*)$`), `must be all, or some of ${use}, with commas`)
    .optional()
    .meta({ description: 'further uses, whose images are listed as well', example: 'windows,gateway-api' }),
});

const releaseImage = z
  .strictObject({
    image: z
      .string()
      .regex(/^[a-z0-9.-]+(?::\d+)?(?:\/[a-z0-9._-]+)+:[\w.-]{1,128}$/, 'must be registry/path/name:tag')
      .meta({ example: 'quay.io/calico/node:v3.32.1' }),
    digest: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/)
      .optional()
      .meta({ description: 'of its index of all architectures; absent where it is not known from upstream' }),
    use: z.enum(imageUses).meta({
      description:
        'always: every cluster that is installed this way; certificate-management: with spec.certificateManagement of the Installation; v3-crds: where projectcalico.org/v3 is served by CRDs; the others as they say',
    }),
  })
  .meta({ id: 'ReleaseImage' });
export type ReleaseImage = z.infer<typeof releaseImage>;

/** The members of a release that a list shows. */
const offer = {
  version: releaseVersion.meta({ example: 'v3.32.1' }),
  default: z.boolean(),
  support: z.enum(['current', 'maintained', 'ending']),
  released: z.iso.date(),
  operatorVersion: releaseVersion.meta({ example: 'v1.42.3' }),
  kubernetes: z.strictObject({ min: kubernetesVersion, max: kubernetesVersion }).meta({
    description: 'what upstream tests this release with; others may work',
    example: { min: '1.34', max: '1.36' },
  }),
  quirks: z.array(z.string().min(1)).meta({ description: 'what bites users of this release' }),
};

/** One file of `releases/`: all that is known of one release. */
export const releaseFile = z.strictObject({
  ...offer,
  manifests: z.array(manifestFile),
  images: z.array(releaseImage),
});
export type Release = z.infer<typeof releaseFile>;
export type ReleaseManifest = Release['manifests'][number];

/** A release as the list shows it. */
export const release = z.object(offer).meta({ id: 'Release' });

/** A release with all that a cluster of it needs. */
export const releaseDetail = z
  .object({
    ...offer,
    manifests: z
      .array(
        z.object({
          name: z.enum(manifestNames),
          sha256,
          bytes: z.int(),
          url: z.string().meta({ description: 'where this control plane serves it, or redirects from' }),
          upstream: z.string().meta({ description: 'where upstream serves it' }),
          mirrored: z.boolean().meta({ description: 'whether the control plane has a copy' }),
        }),
      )
      .meta({ description: 'in the order in which they are applied' }),
    images: z.array(releaseImage),
  })
  .meta({ id: 'ReleaseDetail' });
export type ReleaseDetail = z.infer<typeof releaseDetail>;
