import { describe, expect, test } from '@jest/globals';
import type { Caller } from '../../../core/credential/caller.ts';
import type { Scope } from '../../../core/credential/scope.ts';
import { member } from '../api-call.ts';
import { scanning } from './memory-scanning.ts';
import { digestOf, scored, trivyReport } from './reports.ts';

const [one, two] = [digestOf('1'), digestOf('2')];

describe('a VEX document', () => {
  const vex = (status: string, timestamp = '2026-10-01T08:00:00Z', vulnerability = 'CVE-1') => ({
    '@context': 'https://openvex.dev/ns/v0.2.0',
    '@id': 'https://openvex.example/1',
    author: 'vendor',
    timestamp,
    version: 1,
    statements: [
      {
        vulnerability: { name: vulnerability },
        products: [{ '@id': 'pkg:deb/debian/libc6@2.36' }],
        status,
        ...(status === 'not_affected' ? { justification: 'vulnerable_code_not_present' } : {}),
      },
    ],
  });
  const none = { stored: 0, unchanged: 0, outdated: 0, superseded: 0 };

  test('changes the verdict about images that are known, at once, and back again', async () => {
    const { post, view, memory } = scanning();
    await post(trivyReport([scored('CVE-1', 9.5)]), { digest: one });
    expect(await view(one)).toMatchObject({ verdict: 'fail' });

    const posted = await post(vex('not_affected'));
    expect([posted.status, posted.headers.Location, posted.json()]).toEqual([
      201,
      'images',
      { author: 'vendor', statements: { ...none, stored: 1 } },
    ]);
    expect(memory.reports.at(-1)).toMatchObject({ about: 'statements' });
    expect(await view(one)).toMatchObject({
      verdict: 'pass',
      reasons: [],
      counts: { high: 1 },
      suppressed: {
        total: 1,
        findings: [
          {
            vulnerability: 'CVE-1',
            suppressed: { status: 'not_affected', justification: 'vulnerable_code_not_present' },
          },
        ],
      },
    });

    expect((await post(vex('affected', '2026-10-02T08:00:00Z'))).json()).toMatchObject({
      statements: { ...none, stored: 1, superseded: 1 },
    });
    expect(await view(one)).toMatchObject({ verdict: 'fail', suppressed: { total: 0 } });
    // What the author has said before counts no more.
    expect((await post(vex('not_affected'))).json()).toMatchObject({ statements: { ...none, outdated: 1 } });
    expect(await view(one)).toMatchObject({ verdict: 'fail' });
  });

  test('that comes again changes nothing', async () => {
    const { post, memory } = scanning();
    await post(vex('not_affected'));
    const { rules } = memory;
    expect((await post(vex('not_affected'))).json()).toMatchObject({ statements: { ...none, unchanged: 1 } });
    expect(memory.rules.statements).toBe(rules.statements);
  });

  test('needs image-policy:write, and a report scans:write: else 403 ACCESS_DENIED, which says so', async () => {
    const { post, memory, tenantId } = scanning();
    const may = (scope: Scope): { as: Caller } => ({ as: { ...member(tenantId), scopes: new Set([scope]) } });
    const denied = await post(vex('not_affected'), {}, may('scans:write'));
    expect(denied.json()).toMatchObject({
      code: 'ACCESS_DENIED',
      detail: expect.stringContaining('image-policy:write'),
    });
    const other = await post(trivyReport([]), { digest: one }, may('image-policy:write'));
    expect(other.json()).toMatchObject({
      code: 'ACCESS_DENIED',
      detail: expect.stringContaining('scans:write'),
    });
    expect(memory.writes).toEqual([]);
    expect((await post(vex('not_affected'), {}, may('image-policy:write'))).status).toBe(201);
    expect((await post(trivyReport([]), { digest: one }, may('scans:write'))).status).toBe(201);
  });

  test('holds for results that come later, too', async () => {
    const { post } = scanning();
    await post(vex('not_affected'));
    const posted = await post(trivyReport([scored('CVE-1', 9.5), scored('CVE-2', 5)]), { digest: one });
    expect(posted.json()).toMatchObject({ verdict: 'warn', suppressed: { total: 1 } });
  });

  test('may name an image by its bill of materials, and a package in that', async () => {
    const { post, view } = scanning();
    const serial = '3e671687-395b-41f5-a30f-a58921a69b79';
    const purl = 'pkg:npm/a@1';
    const vulnerability = { id: 'CVE-1', ratings: [{ score: 9.8, method: 'CVSSv31', severity: 'critical' }] };
    const bom = {
      bomFormat: 'CycloneDX',
      specVersion: '1.5',
      serialNumber: `urn:uuid:${serial}`,
      version: 1,
      metadata: { component: { type: 'container', name: 'web' } },
      components: ['a', 'b'].map((name) => ({
        type: 'library',
        name,
        version: '1',
        purl: `pkg:npm/${name}@1`,
        'bom-ref': name,
      })),
      vulnerabilities: [{ ...vulnerability, affects: [{ ref: 'a' }, { ref: 'b' }] }],
    };
    expect((await post(bom, { digest: one })).json()).toMatchObject({
      verdict: 'fail',
      reasons: [{ total: 2 }],
    });
    const posted = await post({
      '@context': 'https://openvex.dev/ns/v0.2.0',
      '@id': 'https://openvex.example/2',
      author: 'vendor',
      timestamp: '2026-10-01T08:00:00Z',
      version: 1,
      statements: [
        {
          vulnerability: { name: 'CVE-1' },
          products: [{ '@id': `pkg:oci/web@${one.replace(':', '%3A')}`, subcomponents: [{ '@id': purl }] }],
          status: 'fixed',
        },
        {
          vulnerability: { name: 'CVE-1' },
          products: [{ '@id': `pkg:oci/web@${two.replace(':', '%3A')}` }],
          status: 'fixed',
        },
      ],
    });
    expect(posted.json()).toMatchObject({ statements: { stored: 2 } });
    expect(await view(one)).toMatchObject({
      verdict: 'fail',
      reasons: [{ total: 1 }],
      suppressed: { total: 1 },
    });

    const linked = await post({
      bomFormat: 'CycloneDX',
      specVersion: '1.5',
      metadata: { timestamp: '2026-10-01T08:00:00Z' },
      vulnerabilities: [
        {
          id: 'CVE-1',
          analysis: { state: 'false_positive' },
          affects: [{ ref: `urn:cdx:${serial}/1#pkg:npm/b@1` }],
        },
      ],
    });
    expect([linked.status, linked.json()]).toMatchObject([201, { statements: { stored: 1 } }]);
    expect(await view(one)).toMatchObject({ verdict: 'pass', suppressed: { total: 2 } });
  });

  test('of CycloneDX is taken, too', async () => {
    const { post, memory } = scanning();
    const posted = await post({
      bomFormat: 'CycloneDX',
      specVersion: '1.5',
      metadata: { timestamp: '2026-10-01T08:00:00Z' },
      vulnerabilities: [
        {
          id: 'CVE-1',
          analysis: { state: 'not_affected', justification: 'code_not_reachable' },
          affects: [{ ref: 'pkg:deb/debian/libc6@2.36' }],
        },
      ],
    });
    expect(posted.json()).toMatchObject({ statements: { stored: 1 } });
    expect(memory.rules.statements).toMatchObject([{ vulnerability: 'CVE-1', status: 'not_affected' }]);
  });
});
