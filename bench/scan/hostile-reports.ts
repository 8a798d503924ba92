import { createCipheriv, createHash } from 'node:crypto';
import { storedLimits } from '../../functions/image-scan/report/report-limits.ts';

/** A report made to hurt, as large as it may be. */
export type HostileReport = {
  readonly name: string;
  /** Which the function must count. */
  readonly findings: number;
  /** Of its one image; absent: the report names those of several. */
  readonly digest?: string;
  /** JSON, all of it ASCII; made anew by each call, always the same. */
  readonly text: () => string;
};

type Size = { readonly bytes: number; readonly findings: number; readonly members: number };

/** As many as functions/image-scan/report/one-each.ts takes. */
const images = 500;
/** Up to about so many members V8 makes a hidden class for each that is new; of more it makes a hash table, which is cheaper. */
const inShapedObject = 126;

/** `size`: what an upload may have, but in tests. */
export function hostileReports(size: Size = storedLimits): readonly HostileReport[] {
  const digest = digestOf(0);
  const megabytes = `${Math.round(size.bytes / 2 ** 20)} MB`;
  const each = Math.floor((size.findings - 1) / images);
  return [
    {
      name: `${megabytes}, ${count(size.findings)} findings`,
      findings: size.findings,
      digest,
      text: () => ofOneImage(size, 'Description', repeated),
    },
    {
      name: `${megabytes}, ${images} images with ${each} findings each`,
      findings: images * each,
      text: () => ofManyImages(size.bytes, each),
    },
    {
      name: `${megabytes} of different names`,
      findings: 1,
      digest,
      text: () => ofNames(size, { inObject: size.members, value: '0' }),
    },
    {
      name: `the same, ${inShapedObject} in an object`,
      findings: 1,
      digest,
      text: () => ofNames(size, { inObject: inShapedObject, value: '0.5' }),
    },
    {
      name: `${megabytes} of findings that do not compress`,
      findings: size.findings,
      digest,
      text: () => ofOneImage(size, 'PkgPath', incompressible),
    },
  ];
}

const count = (value: number) => value.toLocaleString('en');
const digestOf = (index: number) => `sha256:${createHash('sha256').update(String(index)).digest('hex')}`;

/** So many characters that a JSON string holds as they are. */
type Filler = (length: number) => string;
const repeated: Filler = (length) =>
  'A buffer overflow in libc6 lets a remote sender run code. '.repeat(length / 58 + 1).slice(0, length);
/** The same in each run. */
const incompressible: Filler = (length) => {
  const zeros = Buffer.alloc(Math.ceil((length * 3) / 4));
  const random = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(zeros);
  return random.toString('base64').slice(0, length);
};

/** What all shapes have in common: each finding is another one, with a score of each of two sources. */
const finding = (index: number) => ({
  VulnerabilityID: `CVE-2026-${index}`,
  PkgName: 'libc6',
  PkgIdentifier: { PURL: `pkg:deb/debian/libc6@2.${index}?arch=amd64` },
  InstalledVersion: `2.${index}`,
  FixedVersion: `2.${index}.1`,
  Status: 'fixed',
  Severity: 'CRITICAL',
  CVSS: { nvd: { V3Score: 9.8 }, redhat: { V3Score: 8.1 } },
  PublishedDate: '2026-10-01T08:00:00Z',
});

const results = (index: number, vulnerabilities: readonly object[]) => [
  {
    Target: `shop/web-${index}:1 (debian 12.1)`,
    Class: 'os-pkgs',
    Type: 'debian',
    Vulnerabilities: vulnerabilities,
  },
];

const trivy = (more: object) => ({
  SchemaVersion: 2,
  Trivy: { Version: '0.72.0' },
  CreatedAt: '2026-10-01T08:00:00Z',
  ArtifactName: 'registry.example/shop/web:1',
  ArtifactType: 'container_image',
  ...more,
});

/** `member` takes what is left of the bytes, in equal parts. */
function ofOneImage({ bytes, findings }: Size, member: string, filler: Filler): string {
  const report = (length: number) => {
    const text = filler(length * findings);
    return JSON.stringify(
      trivy({
        Results: results(
          0,
          Array.from({ length: findings }, (_, index) => ({
            ...finding(index),
            [member]: text.slice(index * length, (index + 1) * length),
          })),
        ),
      }),
    );
  };
  return report(share(bytes - report(0).length, findings));
}

/** `trivy k8s`: each image in a workload of its own. */
function ofManyImages(bytes: number, each: number): string {
  const report = (length: number) => {
    const Description = repeated(length);
    return JSON.stringify({
      ClusterName: 'bench',
      Resources: Array.from({ length: images }, (_, index) => ({
        Namespace: 'shop',
        Kind: 'Deployment',
        Name: `web-${index}`,
        Metadata: [{ RepoDigests: [`registry.example/shop/web-${index}@${digestOf(index)}`] }],
        Results: results(
          index,
          Array.from({ length: each }, (_unused, at) => ({ ...finding(index * each + at), Description })),
        ),
      })),
    });
  };
  return report(share(bytes - report(0).length, images * each));
}

/** Objects whose members no schema looks at, as many as there may be, each with a name of its own. */
function ofNames({ bytes, members }: Size, { inObject, value }: { inObject: number; value: string }): string {
  const whole = JSON.stringify(trivy({ Results: results(0, [finding(0)]), Names: [] }));
  // What is beside them has fewer than a hundred.
  const names = members - 100;
  const objects = Math.ceil(names / inObject);
  const punctuation = '"":,'.length;
  const length = share(bytes - whole.length - objects * '{},'.length, names) - punctuation - value.length;
  const all = Array.from({ length: objects }, (_, object) => {
    const first = object * inObject;
    const here = Math.min(inObject, names - first);
    const each = Array.from({ length: here }, (_unused, at) => `"${name(first + at, length)}":${value}`);
    return `{${each.join(',')}}`;
  });
  return whole.replace('"Names":[]', () => `"Names":[${all.join(',')}]`);
}

const name = (index: number, length: number) => index.toString(36).padStart(length, '0');

function share(left: number, among: number): number {
  const each = Math.floor(left / among);
  if (each < 1) throw new Error('So few bytes do not hold so much.');
  return each;
}
