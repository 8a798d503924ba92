import { describe, expect, test } from '@jest/globals';
import type { StoredStatement } from '../../../core/image/exception-schema.ts';
import type { JudgedFinding } from '../../../core/image/image-schema.ts';
import { judgeImage } from '../../../core/image/judge.ts';
import { day, digestOf, findingOf, imageOf, now, rulesOf, statementOf } from './judged-images.ts';

const bom = 'urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1';
const judged = (statements: readonly StoredStatement[], extra: Partial<JudgedFinding> = {}) =>
  judgeImage(
    imageOf({
      findings: [findingOf({ score: 9.5, aliases: ['GHSA-aaaa-bbbb-cccc'], ...extra })],
      references: ['ghcr.io/shop/web:1', 'nginx:1.27'],
      digests: [digestOf('b')],
      platform: 'linux/amd64',
      bom,
    }),
    rulesOf({}, { statements }),
    now,
  );
const about = (id: string, ...subcomponents: string[]) => statementOf({ products: [{ id, subcomponents }] });

describe('a statement that something is not affected', () => {
  test.each<[name: string, statement: StoredStatement]>([
    ['the image by its digest', about(digestOf('a'))],
    ['the image by the digest of its index', about(digestOf('b'))],
    ['the image by its digest in a package URL', about(`pkg:oci/web@${encodeURIComponent(digestOf('a'))}`)],
    ['the image by its bill of materials', about(bom)],
    ['its repository', about('pkg:oci/web?repository_url=ghcr.io/shop/web')],
    [
      'its repository, which the qualifier does not end in',
      about('pkg:oci/web?repository_url=ghcr.io%2Fshop'),
    ],
    ['its repository as an address', about('pkg:oci/web?repository_url=https://ghcr.io/shop/web/')],
    ['images of its name anywhere', about('pkg:oci/web')],
    ['its tag', about('pkg:oci/web?repository_url=ghcr.io/shop/web&tag=1')],
    ['its architecture', about('pkg:oci/web?repository_url=ghcr.io/shop/web&arch=amd64')],
    ['an image of Docker Hub', about('pkg:docker/nginx@1.27')],
    ['an image of another registry', about('pkg:docker/shop/web?repository_url=ghcr.io')],
    ['the package in any version', about('pkg:apk/alpine/musl')],
    ['the package in this version', about('pkg:apk/alpine/musl@1.1.22-r2')],
    ['the package with a qualifier that it has', about('pkg:apk/alpine/musl?distro=3.10.2')],
    ['the package in the image', about(digestOf('a'), 'pkg:apk/alpine/openssl', 'pkg:apk/alpine/musl')],
    ['the vulnerability by its alias', { ...about(bom), vulnerability: 'ghsa-AAAA-bbbb-cccc' }],
    [
      'the vulnerability among its own aliases',
      { ...about(bom), vulnerability: 'X-1', aliases: ['CVE-2026-1000'] },
    ],
  ])('keeps a finding from counting by naming %s', (_, statement) => {
    expect(judged([statement])).toMatchObject({
      verdict: 'pass',
      suppressed: {
        total: 1,
        excepted: 0,
        findings: [{ suppressed: { status: 'not_affected', source: 'vendor.example' } }],
      },
      worsens: [],
    });
  });

  test.each<[name: string, statement: StoredStatement]>([
    ['another vulnerability', { ...about(digestOf('a')), vulnerability: 'CVE-2026-1' }],
    ['another image', about(digestOf('c'))],
    ['another bill of materials', about('urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/2')],
    ['an element of its bill of materials by a name of its own', about(`${bom}#component-7`)],
    ['another repository', about('pkg:oci/web?repository_url=ghcr.io/other/web')],
    ['a name that its own only ends in', about('pkg:oci/eb')],
    ['another tag', about('pkg:oci/web?repository_url=ghcr.io/shop/web&tag=2')],
    [
      'a tag that it has in another repository',
      about('pkg:oci/web?repository_url=ghcr.io/shop/web&tag=1.27'),
    ],
    ['another architecture', about('pkg:oci/web?arch=arm64')],
    ['another digest of its repository', about(`pkg:oci/web@${encodeURIComponent(digestOf('c'))}`)],
    ['a range of its versions', about('pkg:oci/web?vers=vers:oci/%3E=1')],
    ['its name on Docker Hub', about('pkg:docker/shop/web')],
    ['another package', about('pkg:apk/alpine/openssl')],
    ['a package of another namespace', about('pkg:apk/wolfi/musl')],
    ['another version', about('pkg:apk/alpine/musl@1.1.22-r1')],
    ['a range of versions', about('pkg:apk/alpine/musl?vers=vers:apk/%3C2')],
    ['the package with another qualifier', about('pkg:apk/alpine/musl?distro=3.11')],
    ['another package in the image', about(digestOf('a'), 'pkg:apk/alpine/openssl')],
    ['a part of the image that has no package URL', about(digestOf('a'), digestOf('d'))],
    ['the package in another image', about(digestOf('c'), 'pkg:apk/alpine/musl')],
    ['the package as a part of another package', about('pkg:npm/app', 'pkg:apk/alpine/musl')],
    ['no product', statementOf({ products: [] })],
    ['what is no product', about('https://shop.example/web')],
  ])('changes nothing by naming %s', (_, statement) => {
    expect(judged([statement])).toMatchObject({ verdict: 'fail', suppressed: { total: 0 } });
  });

  test('about one CVE says nothing of an advisory on several, nor of another CVE that a report relates to it', () => {
    const statement = about(digestOf('a'));
    for (const vulnerability of ['ELSA-2026-1', 'CVE-2026-1']) {
      const extra = { vulnerability, aliases: ['CVE-2026-1000', 'CVE-2026-2', 'GHSA-aaaa-bbbb-cccc'] };
      expect(judged([statement], extra).verdict).toBe('fail');
      expect(judged([{ ...statement, vulnerability }], extra).verdict).toBe('pass');
      expect(judged([{ ...statement, vulnerability: 'GHSA-aaaa-bbbb-cccc' }], extra).verdict).toBe('pass');
    }
  });

  test('about a package changes nothing for a finding that has no package URL', () => {
    const { purl: _purl, ...nameless } = findingOf({ score: 9.5 });
    const rules = rulesOf({}, { statements: [about('pkg:apk/alpine/musl')] });
    expect(judgeImage(imageOf({ findings: [nameless] }), rules, now).verdict).toBe('fail');
  });

  test('about a version finds it beside a package URL that has none', () => {
    const extra = { purl: 'pkg:apk/alpine/musl' };
    expect(judged([about('pkg:apk/alpine/musl@1.1.22-r2')], extra).verdict).toBe('pass');
    expect(judged([about('pkg:apk/alpine/musl@1')], extra).verdict).toBe('fail');
  });

  test('shows its justification', () => {
    const statement = statementOf({ justification: 'vulnerable_code_not_present', status: 'fixed' });
    expect(judged([statement]).suppressed.findings[0]?.suppressed).toEqual({
      status: 'fixed',
      justification: 'vulnerable_code_not_present',
      source: 'vendor.example',
    });
  });
});

describe('of one author’s statements', () => {
  const said = (status: StoredStatement['status'], daysAgo: number, extra: Partial<StoredStatement> = {}) =>
    statementOf({ status, at: now - daysAgo * day, ...extra });

  test.each<[name: string, statements: StoredStatement[], verdict: string]>([
    ['a later "affected" lifts', [said('not_affected', 2), said('affected', 1)], 'fail'],
    ['a later "under investigation" lifts', [said('fixed', 2), said('under_investigation', 1)], 'fail'],
    ['an earlier "affected" does not', [said('affected', 2), said('not_affected', 1)], 'pass'],
    [
      'another author’s "affected" does not',
      [said('not_affected', 2), said('affected', 1, { author: 'x' })],
      'pass',
    ],
    ['"affected" alone suppresses nothing', [said('affected', 1)], 'fail'],
    [
      'a later one about another product that is the image too lifts',
      [said('not_affected', 2), said('affected', 1, { products: [{ id: bom, subcomponents: [] }] })],
      'fail',
    ],
    [
      'a later one about another package does not',
      [
        said('not_affected', 2),
        said('affected', 1, { products: [{ id: digestOf('a'), subcomponents: ['pkg:apk/alpine/openssl'] }] }),
      ],
      'pass',
    ],
    [
      'a later one under another name of the vulnerability lifts',
      [said('not_affected', 2), said('affected', 1, { vulnerability: 'GHSA-aaaa-bbbb-cccc' })],
      'fail',
    ],
    [
      'of one time about different products the one that settles nothing stands',
      [said('affected', 1, { products: [{ id: bom, subcomponents: [] }] }), said('not_affected', 1)],
      'fail',
    ],
  ])('%s', (_, statements, verdict) => {
    expect(judged(statements).verdict).toBe(verdict);
    expect(judged([...statements].reverse()).verdict).toBe(verdict);
  });

  test('of one time about one product the one that stands later counts', () => {
    expect(judged([said('affected', 1), said('not_affected', 1)]).verdict).toBe('pass');
    expect(judged([said('not_affected', 1), said('affected', 1)]).verdict).toBe('fail');
  });
});
