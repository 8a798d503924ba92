import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { S3Client } from '@aws-sdk/client-s3';
import { ManifestRepository } from '../../../core/release/manifest-repository.ts';
import { manifestNames } from '../../../core/release/release-schema.ts';
import {
  type Mirrored,
  type MirroredRelease,
  mirrorReleases,
} from '../../../functions/release-mirror/mirror-releases.ts';
import { upstream } from '../../../functions/release-mirror/upstream.ts';
import { EndpointUnderTest } from '../../local/aws/endpoint-fixture.ts';
import { fails, GitHub, leadsTo, serves } from './github.ts';

const versions = ['v3.32.1', 'v3.31.7'] as const;
const contents = (version: string, name: string) => Buffer.from(`# ${name} of ${version}\n`.repeat(1_000));
const place = (version: string, name: string) =>
  `raw.githubusercontent.com/projectcalico/calico/${version}/manifests/${name}`;
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const releases: readonly MirroredRelease[] = versions.map((version) => ({
  version,
  manifests: manifestNames.map((name) => {
    const bytes = contents(version, name);
    return { name, url: `https://${place(version, name)}`, sha256: digest(bytes), bytes: bytes.length };
  }),
}));
const all = versions.flatMap((version) => manifestNames.map((name) => `${version}/${name}`));

describe('the mirror', () => {
  let under: EndpointUnderTest;
  let github: GitHub;
  let s3: S3Client;
  /** Commands that reached S3. */
  let sent: string[];
  /** Answers a command in place of S3; undefined lets it pass. */
  let fault: ((command: string) => Error | undefined) | undefined;
  let mirror: ManifestRepository;

  beforeAll(async () => {
    github = await GitHub.start();
  });
  afterAll(() => github.close());
  beforeEach(async () => {
    under = await EndpointUnderTest.start();
    github.replies.clear();
    github.asked.length = 0;
    for (const version of versions)
      for (const name of manifestNames)
        github.replies.set(place(version, name), serves(contents(version, name)));
    s3 = under.s3(under.endpoint.operator);
    sent = [];
    fault = undefined;
    s3.middlewareStack.add(
      (next, { commandName = '' }) =>
        (args) => {
          const error = fault?.(commandName);
          if (error) return Promise.reject(error);
          sent.push(commandName);
          return next(args);
        },
      { step: 'initialize' },
    );
    mirror = new ManifestRepository(s3, 'logs-bucket');
  });
  afterEach(() => under.stop());

  const run = (withinMs = 20_000): Promise<Mirrored> =>
    mirrorReleases({ releases, mirror, source: upstream({ fetch: github.fetch, withinMs }) });
  /** `<version>/<name>` of what the storage gives back, each byte for byte. */
  const stored = async (): Promise<string[]> => {
    const found = await Promise.all(
      releases.flatMap(({ version, manifests }) =>
        manifests.map(async ({ name, sha256 }) => {
          const read = await mirror.read({ version, name, sha256 });
          if (!read) return [];
          expect('bytes' in read && Buffer.from(read.bytes).equals(contents(version, name))).toBe(true);
          return [`${version}/${name}`];
        }),
      ),
    );
    return found.flat();
  };
  const refusals = ({ refused }: Mirrored) =>
    refused.map(({ version, name, code }) => `${version}/${name} ${code}`);
  const broken = place('v3.32.1', 'tigera-operator.yaml');
  const others = all.filter((one) => one !== 'v3.32.1/tigera-operator.yaml');

  test('takes every manifest of the catalogue; one LIST for each release, one PUT for each manifest', async () => {
    expect(await run()).toEqual({ stored: all, present: 0, refused: [] });
    expect(sent.sort()).toEqual([
      ...versions.map(() => 'ListObjectsV2Command'),
      ...all.map(() => 'PutObjectCommand'),
    ]);
    expect(github.asked).toHaveLength(all.length);
    expect(await stored()).toEqual(all);
  });

  test('a second time asks upstream for nothing and puts nothing', async () => {
    await run();
    github.asked.length = 0;
    sent.length = 0;
    expect(await run()).toEqual({ stored: [], present: all.length, refused: [] });
    expect(github.asked).toEqual([]);
    expect(sent).toEqual(versions.map(() => 'ListObjectsV2Command'));
  });

  test('sends no credential and follows GitHub to its own hosts', async () => {
    const bytes = contents('v3.32.1', 'tigera-operator.yaml');
    github.replies.set(broken, leadsTo('https://github.com/moved/here'));
    github.replies.set('github.com/moved/here', leadsTo('/moved/there', 307));
    github.replies.set('github.com/moved/there', leadsTo('https://objects.githubusercontent.com/x', 301));
    github.replies.set('objects.githubusercontent.com/x', serves(bytes));
    expect((await run()).refused).toEqual([]);
    for (const headers of github.headers)
      expect([headers.get('authorization'), headers.get('cookie')]).toEqual([null, null]);
  });

  test('takes what came compressed', async () => {
    const bytes = contents('v3.32.1', 'tigera-operator.yaml');
    github.replies.set(broken, serves(gzipSync(bytes), { 'content-encoding': 'gzip' }));
    expect((await run()).refused).toEqual([]);
    expect(await stored()).toEqual(all);
  });

  const bytes = contents('v3.32.1', 'tigera-operator.yaml');
  const changed = Buffer.from(bytes);
  changed.write('!', 500);
  test.each([
    ['changed by one byte', 'CHANGED', serves(changed)],
    ['truncated', 'TRUNCATED', serves(bytes.subarray(0, -1))],
    ['empty', 'TRUNCATED', serves(Buffer.alloc(0))],
    ['longer by one byte', 'TOO_LARGE', serves(Buffer.concat([bytes, Buffer.from('\n')]))],
    [
      'compressed to little and large within',
      'TOO_LARGE',
      serves(gzipSync(Buffer.alloc(50_000_000)), { 'content-encoding': 'gzip' }),
    ],
    ['not compressed as it says', 'UNREACHABLE', serves(bytes, { 'content-encoding': 'gzip' })],
    ['gone', 'MISSING', fails(404)],
    ['answered with 500', 'STATUS', fails(500)],
    ['answered with half a file', 'STATUS', fails(206)],
    ['led to another host', 'REDIRECTED', leadsTo('https://raw.githubusercontent.com.example/x')],
    ['led to a host that only ends alike', 'REDIRECTED', leadsTo('https://evilgithub.com/x')],
    ['led to this machine', 'REDIRECTED', leadsTo('https://127.0.0.1/x')],
    ['led away from HTTPS', 'REDIRECTED', leadsTo('http://raw.githubusercontent.com/x')],
    ['led to another port', 'REDIRECTED', leadsTo('https://github.com:8443/x')],
    ['led to itself', 'REDIRECTED', leadsTo(`https://${broken}`)],
    ['led nowhere', 'REDIRECTED', leadsTo('https://[')],
  ] as const)(
    'a manifest that is %s is refused as %s, and all others are taken',
    async (_what, code, reply) => {
      github.replies.set(broken, reply);
      const mirrored = await run();
      expect(refusals(mirrored)).toEqual([`v3.32.1/tigera-operator.yaml ${code}`]);
      expect(mirrored.stored).toEqual(others);
      expect(await stored()).toEqual(others);
      for (const host of github.asked.map((one) => one.split('/')[0]))
        expect(host).toMatch(/^(?:github\.com|.+\.githubusercontent\.com)$/);
    },
  );

  test.each([
    ['never answers', () => undefined],
    [
      'stops in the middle',
      (response: { write: (piece: Uint8Array) => unknown }) => void response.write(bytes.subarray(0, 100)),
    ],
  ])('upstream that %s is left after its time as UNREACHABLE', async (_what, reply) => {
    github.replies.set(broken, reply);
    const mirrored = await run(500);
    expect(refusals(mirrored)).toEqual(['v3.32.1/tigera-operator.yaml UNREACHABLE']);
    expect(mirrored.refused[0]?.why).toContain('no whole answer within 0.5 s');
    expect(await stored()).toEqual(others);
  });

  test('a connection that is cut in the middle is UNREACHABLE, or TRUNCATED where its end was not announced', async () => {
    github.replies.set(broken, (response) => {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, 100), () => response.destroy());
    });
    expect(refusals(await run())).toEqual(['v3.32.1/tigera-operator.yaml UNREACHABLE']);
    expect(await stored()).toEqual(others);
  });

  test('a network that is not there refuses all by name and code, and throws nothing', async () => {
    const source = upstream({
      fetch: () => Promise.reject(new TypeError('fetch failed', { cause: { code: 'ENOTFOUND' } })),
    });
    const mirrored = await mirrorReleases({ releases, mirror, source });
    expect(refusals(mirrored)).toEqual(all.map((one) => `${one} UNREACHABLE`));
    expect(mirrored.refused[0]?.why).toContain('ENOTFOUND');
    expect(await stored()).toEqual([]);
  });

  test('what was refused is taken by the next run, when upstream is itself again', async () => {
    github.replies.set(broken, serves(changed));
    await run();
    github.replies.set(broken, serves(bytes));
    expect(await run()).toEqual({
      stored: ['v3.32.1/tigera-operator.yaml'],
      present: all.length - 1,
      refused: [],
    });
    expect(await stored()).toEqual(all);
  });

  test('a catalogue with a new digest leaves the last good copy where it is, be the new one taken or refused', async () => {
    await run();
    const next = releases.map(({ version, manifests }) => ({
      version,
      manifests: manifests.map((manifest) => ({
        ...manifest,
        sha256: digest(changed),
        bytes: changed.length,
      })),
    }));
    const again = () => mirrorReleases({ releases: next, mirror, source: upstream({ fetch: github.fetch }) });
    expect((await again()).stored).toEqual([]);
    expect(await stored()).toEqual(all);
    for (const path of github.replies.keys()) github.replies.set(path, serves(changed));
    expect((await again()).refused).toEqual([]);
    expect(await stored()).toEqual(all);
  });

  test('S3 that fails in the middle keeps what it has taken; the next run brings the rest', async () => {
    let puts = 0;
    fault = (command) => {
      if (command !== 'PutObjectCommand') return undefined;
      puts += 1;
      return puts > 2 ? Object.assign(new Error('down'), { name: 'ServiceUnavailable' }) : undefined;
    };
    const first = await run();
    expect(first.stored).toHaveLength(2);
    expect(first.refused.map(({ code, why }) => `${code} ${why}`)).toEqual(
      Array.from({ length: all.length - 2 }, () => 'STORAGE our storage failed: ServiceUnavailable'),
    );
    expect(await stored()).toEqual(first.stored);
    fault = undefined;
    const second = await run();
    expect([second.present, second.refused]).toEqual([2, []]);
    expect([...first.stored, ...second.stored].sort()).toEqual([...all].sort());
    expect(await stored()).toEqual(all);
  });

  test('S3 that does not say what it has: nothing is fetched, all are refused as STORAGE', async () => {
    fault = () => Object.assign(new Error('no'), { name: 'AccessDenied' });
    expect(refusals(await run())).toEqual(all.map((one) => `${one} STORAGE`));
    expect(github.asked).toEqual([]);
  });

  test('two runs at once end with one copy of each', async () => {
    const [one, other] = await Promise.all([run(), run()]);
    expect([one.refused, other.refused]).toEqual([[], []]);
    expect(await stored()).toEqual(all);
  });

  test('a mistake of ours is no refusal: it propagates', async () => {
    const source = () => Promise.reject(new RangeError('a mistake'));
    await expect(mirrorReleases({ releases, mirror, source })).rejects.toThrow('a mistake');
  });
});
