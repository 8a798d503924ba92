import { describe, expect, test } from '@jest/globals';
import { gzipSync } from 'node:zlib';
import type { ScanResult, ScanResults } from '../../../core/image/image-schema.ts';
import { now, scanning } from './memory-scanning.ts';
import { fixture } from './report/refusal.ts';
import { digestOf, scored, trivyFixture, trivyReport } from './reports.ts';

const [one, two, three] = [digestOf('1'), digestOf('2'), digestOf('3')];

const resource = (name: string, digest: string | undefined, vulnerabilities: readonly unknown[] = []) => ({
  Kind: 'Deployment',
  Name: name,
  Metadata: [
    {
      RepoTags: [`registry.example/${name}:1`],
      RepoDigests: digest === undefined ? [] : [`registry.example/${name}@${digest}`],
    },
  ],
  Results: [
    { Target: `${name} (debian 12)`, Class: 'os-pkgs', Type: 'debian', Vulnerabilities: vulnerabilities },
  ],
});
const ofACluster = (...Resources: unknown[]) => ({ ClusterName: 'kind', Resources });

describe('a hostile report', () => {
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, ' '));
  const query = { digest: one };
  const withFirst = (member: string) => trivyReport([]).replace('{', `{${member},`);
  const about = (digest: string) => ({ Metadata: { RepoDigests: [`web@${digest}`] } });

  test.each([
    ['that is empty', '', query, 400, 'REPORT_MALFORMED'],
    ['that is cut off', trivyReport([scored('CVE-1', 5)]).slice(0, -9), query, 400, 'REPORT_MALFORMED'],
    ['that is not UTF-8', Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x7d]), query, 400, 'REPORT_MALFORMED'],
    ['nested a million deep', '['.repeat(1_000_000), query, 400, 'REPORT_MALFORMED'],
    ['with two members of one name', withFirst('"SchemaVersion":2'), query, 400, 'REPORT_MALFORMED'],
    ['with __proto__', withFirst('"__proto__":{"a":1}'), query, 400, 'REPORT_MALFORMED'],
    ['with constructor', withFirst('"constructor":{"prototype":{"a":1}}'), query, 400, 'REPORT_MALFORMED'],
    [
      'with a list where a name belongs',
      trivyReport([{ VulnerabilityID: [] }]),
      query,
      400,
      'REPORT_MALFORMED',
    ],
    [
      'of a million findings',
      trivyReport([]).replace('"Vulnerabilities":[]', `"Vulnerabilities":[${'{},'.repeat(1_000_000)}{}]`),
      query,
      413,
      'PAYLOAD_TOO_LARGE',
    ],
    ['of 64 MB behind 64 KB of gzip', bomb, query, 413, 'PAYLOAD_TOO_LARGE'],
    ['of 5 MB', ' '.repeat(5 * 1024 * 1024), query, 413, 'PAYLOAD_TOO_LARGE'],
    ['in half a gzip file', bomb.subarray(0, 1000), query, 400, 'REPORT_MALFORMED'],
    ['of another image', trivyReport([], about(two)), query, 400, 'REPORT_DIGEST_MISMATCH'],
    ['of no image', trivyReport([]), {}, 400, 'REPORT_DIGEST_MISSING'],
    ['of no known format', '{}', query, 400, 'REPORT_UNSUPPORTED'],
    ['of two formats', withFirst('"matches":[],"descriptor":{}'), query, 400, 'REPORT_UNSUPPORTED'],
    ['of 501 images', ofACluster(...many(501)), {}, 413, 'PAYLOAD_TOO_LARGE'],
  ])('%s is refused, and nothing is stored', async (_what, report, asked, status, code) => {
    const { post, memory } = scanning();
    const refused = await post(report, asked);
    expect([refused.status, refused.json().code]).toEqual([status, code]);
    expect(memory.writes).toEqual([]);
    expect({}).not.toHaveProperty('a');
  });

  test('never has its words in the answer', async () => {
    const { post } = scanning();
    for (const report of [
      trivyReport([{ ...scored('CVE-1', 5), Severity: ['hunter2'] }]),
      trivyReport([{ ...scored('CVE-1', 5), CVSS: { hunter2hunter2: { V3Score: 'hunter2' } } }]),
      '{"hunter2":1,"hunter2":2}',
      '{"a":hunter2}',
    ]) {
      const { text } = await post(report, query);
      expect(text.replace('/hunter2hunter2/', '')).not.toContain('hunter2');
    }
  });
});

function many(count: number) {
  return Array.from({ length: count }, (_, at) =>
    resource(`web-${at}`, `sha256:${String(at).padStart(64, '0')}`),
  );
}

describe('what a report says', () => {
  test('is kept of each finding, and of the image under all of its names', async () => {
    const { post, view, memory } = scanning();
    const posted = await post(trivyFixture('ubuntu-1804'), { digest: one });
    expect(posted.status).toBe(201);
    const image = await view(one);
    expect(image).toMatchObject({
      scanner: 'trivy dev',
      aliases: {
        references: ['ghcr.io/aquasecurity/trivy-test-images:ubuntu-1804'],
        digests: [],
        imageId: 'sha256:a2a15febcdf362f6115e801d37b5e60d6faaeedcb9896155e5fe9d754025be12',
        platform: 'linux/amd64',
      },
      suppressed: { total: 0, findings: [] },
    });
    const [reason] = image.reasons as { findings: Record<string, unknown>[] }[];
    expect(reason?.findings[0]).toMatchObject({
      vulnerability: 'CVE-2019-18276',
      aliases: [],
      score: 7.8,
      fix: { state: expect.any(String), versions: expect.any(Array) },
      publishedAt: '2019-11-28T01:15:00.000Z',
    });
    expect(reason?.findings[0]).not.toHaveProperty('cvss');
    const [stored] = memory.pages.get(`${one} trivy`) ?? [];
    expect(stored).toMatchObject({
      vulnerability: 'CVE-2019-18276',
      cvss: [
        { version: '3.1', score: 7.8, source: 'nvd' },
        { version: '3.1', score: 7.8, source: 'redhat' },
        { version: '2.0', score: 7.2, source: 'nvd' },
      ],
    });
    // No descriptions, titles or links.
    const evidence = memory.images.get(one)?.results.map((result) => result.evidence());
    expect(JSON.stringify([image, evidence, [...memory.pages]])).not.toMatch(
      /https?:\/\/|An issue was discovered/,
    );
  });

  test.each([
    ['https://bob:hunter2@registry.example/web:1', 'https://registry.example/web:1'],
    ['bob:hunter@2@registry.example:5000/web:1', 'registry.example:5000/web:1'],
    [`hunter2@registry.example/web@${one}`, `registry.example/web@${one}`],
    [`web@${one}`, `web@${one}`],
    ['registry.example/web:1', 'registry.example/web:1'],
  ])('names the image without who logs in at its registry: %s', async (given, kept) => {
    const { post, view } = scanning();
    await post(trivyReport([], { ArtifactName: given }), { digest: one });
    expect(await view(one)).toMatchObject({ image: kept, aliases: { references: [kept] } });
    await post(trivyReport([]), { digest: one, image: given });
    expect(await view(one)).toMatchObject({ image: kept });
  });

  test('judges by the highest v3 or v4 score, and by v2 where there is no other', async () => {
    const { post } = scanning();
    const scoreOf = async (CVSS: unknown) => {
      const report = trivyReport([{ ...scored('CVE-1', 0, 'CRITICAL'), CVSS }]);
      const [reason] = ((await post(report, { digest: one })).json() as unknown as ScanResult).reasons;
      return reason?.findings[0]?.score;
    };
    expect(await scoreOf({ nvd: { V2Score: 9.9, V3Score: 5 }, ghsa: { V40Score: 6.3 } })).toBe(6.3);
    expect(await scoreOf({ nvd: { V2Score: 6.8 }, redhat: { V2Score: 7.1 } })).toBe(7.1);
  });

  test('shows what is suppressed, and counts it neither in the verdict nor by severity', async () => {
    const { post, view } = scanning();
    const report = trivyReport([], {
      Results: [
        {
          Class: 'os-pkgs',
          Type: 'debian',
          Vulnerabilities: [scored('CVE-1', 5, 'MEDIUM')],
          ExperimentalModifiedFindings: [
            {
              Type: 'vulnerability',
              Status: 'ignored',
              Source: '.trivyignore',
              Finding: scored('CVE-2', 9.8),
            },
          ],
        },
      ],
    });
    const posted = (await post(report, { digest: one })).json();
    const expected = {
      verdict: 'warn',
      counts: { critical: 0, high: 0, medium: 1, low: 0, negligible: 0, unknown: 0 },
      suppressed: {
        total: 1,
        excepted: 0,
        findings: [
          { vulnerability: 'CVE-2', score: 9.8, suppressed: { status: 'ignored', source: '.trivyignore' } },
        ],
      },
    };
    expect(posted).toMatchObject(expected);
    expect(await view(one)).toMatchObject(expected);
  });

  test.each([
    [
      'trivy-operator-extended.json',
      'sha256:f78909c2b360d866b3220655c0b079838258b8891a12ac25fc670f0cbb54229f',
    ],
    ['harbor-1.1.json', 'sha256:711103cfce07dc03d61f51e819fad7d6fbbad20fc99caa039cc8da77e7a1c51b'],
  ])('may name the image in its own way: %s', async (name, digest) => {
    const { post, memory } = scanning();
    expect((await post(fixture(name))).json()).toMatchObject({ digest });
    expect(memory.reports).toMatchObject([{ about: digest }]);
  });
});

describe('the digest of a Grype report', () => {
  const grype = (target: Record<string, unknown>) => ({
    matches: [],
    source: { type: 'image', target: { userInput: 'registry.example/web:1', ...target } },
    descriptor: { name: 'grype', version: '0.96.0' },
  });
  const digestOfPosted = async (target: Record<string, unknown>, query = {}) => {
    const { post } = scanning();
    const posted = (await post(grype(target), query)).json();
    return posted.digest ?? posted.code;
  };

  test('is that of the registry before that of the manifest which Grype read', async () => {
    const both = { repoDigests: [`registry.example/web@${one}`], manifestDigest: two };
    expect(await digestOfPosted(both)).toBe(one);
    expect(await digestOfPosted(both, { digest: two })).toBe(two);
    expect(await digestOfPosted(both, { digest: three })).toBe('REPORT_DIGEST_MISMATCH');
    expect(await digestOfPosted({ ...both, userInput: `registry.example/web@${three}` })).toBe(three);
  });

  test('may be another than what a container engine made up before the image was pushed', async () => {
    expect(await digestOfPosted({ repoDigests: [], manifestDigest: two })).toBe(two);
    expect(await digestOfPosted({ repoDigests: [], manifestDigest: two }, { digest: one })).toBe(one);
    expect(await digestOfPosted({ manifestDigest: '' })).toBe('REPORT_DIGEST_MISSING');
  });
});

describe('a report about several images', () => {
  const report = ofACluster(
    resource(
      'web',
      one,
      Array.from({ length: 5 }, (_, at) => scored(`CVE-${at}`, 9.5)),
    ),
    resource('api', two),
    resource('job', undefined, [scored('CVE-9', 9.9)]),
  );

  test('is answered with each, stores each by itself and the report once, and says what it cannot store', async () => {
    const { post, view, memory } = scanning();
    const posted = await post(report);
    expect([posted.status, posted.headers.Location]).toEqual([201, 'images']);
    const { items, skipped } = posted.json() as unknown as ScanResults;
    expect(items).toMatchObject([
      { digest: one, verdict: 'fail', counts: { high: 5 }, reasons: [{ total: 5 }] },
      { digest: two, verdict: 'pass', counts: { high: 0 }, reasons: [] },
    ]);
    expect(items[0]?.reasons[0]?.findings).toHaveLength(3);
    expect(skipped).toEqual([
      { image: 'registry.example/job:1', code: 'REPORT_DIGEST_MISSING', findings: 1 },
    ]);
    expect(memory.reports).toMatchObject([{ about: 'several' }]);
    expect([...memory.images.keys()]).toEqual([one, two]);
    const results = [...memory.images.values()].flatMap((image) => image.results);
    expect(new Set(results.map(({ reportKey }) => reportKey)).size).toBe(1);
    expect(new Set(results.map(({ scanId }) => scanId)).size).toBe(2);
    expect(await view(two)).toMatchObject({
      image: 'registry.example/api:1',
      verdict: 'pass',
      scannedAt: new Date(now).toISOString(),
    });
  });

  test('gives the same scans again for the same report', async () => {
    const [first, second] = [scanning(), scanning()];
    expect((await first.post(report)).text).toBe((await second.post(report)).text);
  });

  test('is about the one image that the request names, by digest or by reference', async () => {
    for (const query of [
      { digest: two },
      { image: 'registry.example/api:1' },
      { image: `other/api@${two}` },
    ]) {
      const { post, memory } = scanning();
      const posted = await post(report, query);
      expect(posted.json()).toMatchObject({ digest: two, verdict: 'pass' });
      expect(posted.headers.Location).toBe(`images/${two}`);
      expect([...memory.images.keys()]).toEqual([two]);
    }
  });

  test.each([
    [{ digest: three }, 'REPORT_DIGEST_MISMATCH'],
    [{ image: 'registry.example/none:1' }, 'REPORT_DIGEST_MISMATCH'],
    [{ image: 'registry.example/job:1' }, 'REPORT_DIGEST_MISSING'],
    [{ image: `a@${one}`, digest: two }, 'REPORT_DIGEST_MISMATCH'],
  ])('is refused for %j with %s, and nothing is stored', async (query, code) => {
    const { post, memory } = scanning();
    expect((await post(report, query)).json().code).toBe(code);
    expect(memory.writes).toEqual([]);
  });

  test('is refused with REPORT_DIGEST_MISSING when none of them has a digest', async () => {
    const { post, memory } = scanning();
    expect((await post(fixture('trivy-k8s-before-036.json'))).json().code).toBe('REPORT_DIGEST_MISSING');
    expect(memory.writes).toEqual([]);
  });

  test('takes an image without a digest when the request gives it one and the report has no other', async () => {
    const { post } = scanning();
    const posted = await post(ofACluster(resource('job', undefined)), { digest: three });
    expect(posted.json()).toMatchObject({ digest: three });
  });

  test('is completed by the same upload after a failure in the middle', async () => {
    const { post, memory } = scanning();
    memory.failing = (write) => {
      if (write === `images ${two}`) throw new Error('no');
    };
    expect((await post(report)).json().code).toBe('UNAVAILABLE');
    memory.failing = () => undefined;
    expect((await post(report)).status).toBe(201);
    expect(new Set(memory.images.keys())).toEqual(new Set([one, two]));
  });

  test('keeps for each image when it was scanned', async () => {
    const { post, memory } = scanning();
    const of = (digest: string, updateTimestamp: string) => ({
      apiVersion: 'aquasecurity.github.io/v1alpha1',
      kind: 'VulnerabilityReport',
      report: { updateTimestamp, artifact: { repository: 'web', digest }, vulnerabilities: [] },
    });
    await post([of(one, '2026-10-01T00:00:00Z'), of(two, '2126-10-02T00:00:00Z')]);
    const results = [...memory.images.values()].flatMap((image) => image.results);
    expect(results.map(({ scannedAt }) => scannedAt)).toEqual([Date.parse('2026-10-01T00:00:00Z'), now]);
  });
});

describe('in the answer', () => {
  test('each problem of a write is 503 UNAVAILABLE, in its own words', async () => {
    const { post, memory } = scanning();
    for (const store of ['report', 'pages', 'change', 'images', 'names', 'cards', 'history']) {
      memory.failing = (write) => {
        if (write.startsWith(store)) throw new Error('tables.internal does not answer');
      };
      const failed = await post(trivyReport([scored('CVE-1', 5)]), { digest: one });
      expect([store, failed.status, failed.json().code]).toEqual([store, 503, 'UNAVAILABLE']);
      expect(failed.text).not.toContain('tables.internal');
    }
  });

  test('of a report whose scanner has looked again since: it is judged by itself, and is not the latest', async () => {
    const { post, view, memory } = scanning();
    await post(trivyReport([scored('CVE-NEW', 9)], { CreatedAt: '2026-11-02T00:00:00Z' }), { digest: one });
    memory.writes.length = 0;
    const late = await post(trivyReport([], { CreatedAt: '2026-11-01T00:00:00Z' }), { digest: one });
    expect(late.json()).toMatchObject({ verdict: 'pass', latest: false });
    expect(memory.writes).not.toContain(`pages ${one}`);
    expect(await view(one)).toMatchObject({ verdict: 'fail', scannedAt: '2026-11-02T00:00:00.000Z' });
  });

  test('stands when the verdict becomes worse by itself', async () => {
    const { post, view, memory } = scanning();
    memory.rules = { ...memory.rules, policy: { ...memory.rules.policy, maxScanAgeDays: 30 } };
    const changesAt = [{ at: '2026-12-21T00:00:00.000Z', verdict: 'fail' }];
    const posted = await post(trivyReport([], { CreatedAt: '2026-11-21T00:00:00Z' }), { digest: one });
    expect(posted.json()).toMatchObject({ verdict: 'pass', latest: true, changesAt });
    expect(await view(one)).toMatchObject({ verdict: 'pass', changesAt });
  });
});

describe('a cluster in which the images run', () => {
  const cluster = `c-${'a'.repeat(20)}`;

  test('is shown with each of them, and when that was last said', async () => {
    const { post, view, memory } = scanning();
    memory.clusters.add(cluster);
    expect((await post(ofACluster(resource('web', one), resource('api', two)), { cluster })).status).toBe(
      201,
    );
    for (const digest of [one, two]) {
      expect(await view(digest)).toMatchObject({
        clusters: [{ clusterId: cluster, lastSeenAt: new Date(now).toISOString() }],
      });
    }
  });

  test.each([cluster, 'c-1', '../x'])(
    '%s that the tenant does not have is 404 NOT_FOUND, and nothing is stored',
    async (asked) => {
      const { post, memory } = scanning();
      const refused = await post(trivyReport([]), { digest: one, cluster: asked });
      expect([refused.status, refused.json().code]).toEqual([404, 'NOT_FOUND']);
      expect(memory.writes).toEqual([]);
    },
  );
});
