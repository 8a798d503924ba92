/** What install.sh makes of the control plane's answers, and of their absence. */
import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Problem, type ProblemCode } from '../../../core/problem/problem.ts';
import { onPath, shellsHere } from './script/shells.ts';
import { Workbench } from './script/workbench.ts';

const possible = (['curl', 'openssl'] as const).every((tool) => onPath(tool) !== undefined);
if (!possible) console.log('curl or openssl is missing: what install.sh makes of answers is not tried');
const shells = possible ? shellsHere() : [];
const shell = shells.find(({ name }) => name === 'dash') ?? shells[0];

(shell ? describe : describe.skip)('install.sh and the control plane', () => {
  let bench: Workbench;
  beforeEach(async () => {
    if (!shell) throw new Error('There is no shell.');
    bench = await Workbench.open(shell);
    bench.cluster.put({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1' } });
    bench.cluster.react = () => bench.calicoIs('v3.32.1');
  });
  afterEach(async () => {
    try {
      expect(bench.cluster.unknown).toEqual([]);
      expect(bench.plane.badReports).toEqual([]);
      expect(readdirSync(bench.tmp)).toEqual([]);
    } finally {
      await bench.close();
    }
  });
  const install = (...more: readonly string[]) =>
    bench.run(['--ca-file', bench.plane.caFile, '--yes', '--name', 'shop', ...more], {
      environment: { CATTERY_TOKEN: bench.plane.token },
    });
  const refuse = (method: string, target: RegExp, fault: Problem | { status: number; body: string }) => {
    bench.plane.instead = (received) =>
      received.method === method && target.test(received.path) ? fault : undefined;
  };

  const refusals: readonly (readonly [ProblemCode, RegExp])[] = [
    ['TOKEN_SPENT', /used with another key\. Make a new one/],
    ['CLUSTER_NAME_TAKEN', /another --name; or disconnect the cluster of that name/],
    ['CLUSTER_NAME_NOT_ALLOWED', /--name and that name/],
    ['UNAUTHENTICATED', /wrong, revoked or expired: make a new one/],
    ['LIMIT_REACHED', /Run the same command again/],
  ];
  test.each(refusals)(
    'a registration refused with %s: ends with 4, code, request and remedy',
    async (code, remedy) => {
      refuse('POST', /registrations$/, new Problem(code, 'This is the detail.'));
      const { code: exit, stderr } = await install();
      expect(exit).toBe(4);
      expect(stderr).toMatch(
        new RegExp(
          `^install\\.sh: The registration as shop was refused: .*\\. This is the detail\\. \\(${code}, request request-7\\)\n  remedy: `,
        ),
      );
      expect(stderr).toMatch(remedy);
      // Nothing of the connection is there, and once the reason is gone the same command goes on.
      expect(bench.cluster.find('namespace', 'tigera-operator')).toBeUndefined();
      bench.plane.instead = () => undefined;
      expect(await install()).toMatchObject({ code: 0 });
      expect(bench.plane.clusters.size).toBe(1);
    },
    60_000,
  );

  test.each([
    [
      'escapes',
      String.raw`{"title":"a \"quoted\" \\ \/ \u00e9\u20ac\ud83d\ude00","code":"CONFLICT_X","requestId":"r-1"}`,
      'a "quoted" \\ / é€😀 (CONFLICT_X, request r-1)',
    ],
    [
      'the same members further in and before',
      String.raw`{"errors":[{"code":"INNER","title":"}]\""},[]],"more":{"code":"DEEP","title":"deep"},"code":"OUTER","title":"outer","requestId":"r-2"}`,
      'outer (OUTER, request r-2)',
    ],
    [
      'lines and blanks',
      '{\n  "title" :\t"spread out" ,\r\n  "n": [ -1.5e3, true, null, { } , [ ] ],\n  "code"\n:\n"SPREAD" , "requestId":"r-3"}\n',
      'spread out (SPREAD, request r-3)',
    ],
    [
      'members that are no text',
      '{"title":null,"code":"ODD","detail":false,"requestId":12}',
      '. false (ODD, request 12)',
    ],
    ['a page instead of JSON', '<html>\n<title>"code":"NOT_ME"</title></html>', '(HTTP 418, request )'],
    ['JSON that was cut off', '{"title":"cut", "code":"CU', '(HTTP 418, request )'],
    ['nothing', '', '(HTTP 418, request )'],
  ])('an answer with %s is read as it is', async (_, body, shown) => {
    refuse('POST', /registrations$/, { status: 418, body });
    const { code, stderr } = await install();
    expect({ code, stderr }).toEqual({ code: 4, stderr: expect.stringContaining(shown) });
  });

  test('an answer that was lost is asked for again, with the same key: one cluster', async () => {
    let lost = 0;
    bench.plane.lose = ({ method, path }) =>
      method !== 'GET' && !path.endsWith('/progress') && (lost += 1) <= 2;
    const { code, stderr } = await install();
    expect({ code, stderr, lost }).toEqual({ code: 0, stderr: '', lost: 3 });
    expect(bench.plane.clusters.size).toBe(1);
    const sent = bench.plane.requests.filter(({ path }) => path === '/v1/registrations');
    expect(new Set(sent.map(({ body }) => body)).size).toBe(1);
  }, 60_000);

  test('a control plane that does not get well ends it with 4, and the same command goes on', async () => {
    refuse('GET', /\/manifest$/, new Problem('UNAVAILABLE'));
    const { code, stderr } = await install();
    expect({ code, stderr }).toEqual({
      code: 4,
      stderr: expect.stringMatching(/did not answer: .*UNAVAILABLE\n +remedy: .*again/),
    });
    expect(bench.plane.reports.at(-1)).toMatchObject({
      step: 'connection',
      state: 'failed',
      reason: 'CONTROL_PLANE_UNREACHABLE',
    });
    bench.plane.instead = () => undefined;
    expect(await install()).toMatchObject({ code: 0 });
    expect(bench.plane.clusters.size).toBe(1);
  }, 60_000);

  test('reports that are refused or lost stop nothing', async () => {
    refuse('POST', /\/progress$/, new Problem('INTERNAL'));
    expect(await install()).toMatchObject({ code: 0, stderr: '' });
  }, 60_000);

  test('a manifest that is not the released one is not applied', async () => {
    refuse('GET', /tigera-operator\.yaml$/, { status: 200, body: 'kind: Something else\n' });
    const { code, stderr } = await install();
    expect({ code, stderr }).toEqual({
      code: 4,
      stderr: expect.stringMatching(
        /tigera-operator\.yaml of v3\.32\.1 is not the file that was released.*\n +remedy: Nothing of it was applied/,
      ),
    });
    expect(bench.cluster.find('namespace', 'tigera-operator')).toBeUndefined();
    expect(bench.plane.reports.at(-1)).toMatchObject({
      step: 'operator',
      state: 'failed',
      reason: 'MANIFEST_CHANGED',
    });
  }, 60_000);

  test('a wait that runs out ends with 5, and says what it waited for and what ails', async () => {
    bench.cluster.react = () => undefined;
    const { code, stderr } = await install('--timeout', '1');
    expect({ code, stderr }).toEqual({
      code: 5,
      stderr: expect.stringMatching(
        /Calico: not within 1 seconds; its operator has not reported anything available yet\n +remedy: See: kubectl get tigerastatus/,
      ),
    });
    expect(bench.plane.reports.at(-1)).toMatchObject({
      step: 'calico',
      state: 'failed',
      reason: 'TIMED_OUT',
    });
  }, 60_000);

  test('a cluster that was disconnected in Cattery says so, and is connected anew with a new token and a new key', async () => {
    expect(await install()).toMatchObject({ code: 0 });
    const key = () =>
      bench.cluster.find('secret', 'cattery-identity', 'cattery-system')?.data?.['managed-cluster.key'];
    const before = key();
    bench.plane.clusters.clear();
    const without = await bench.run(['--ca-file', bench.plane.caFile, '--yes']);
    expect(without).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/has disconnected this cluster.*\n +remedy: .*registration token/),
    });
    const { code, stdout } = await install();
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringContaining('registered anew, with a new key'),
    });
    expect(key()).not.toBe(before);
    expect(bench.plane.clusters.size).toBe(1);
  }, 60_000);

  test('--dry-run prints manifests alone on standard output, and registers and changes nothing', async () => {
    const { code, stdout, stderr } = await install('--dry-run');
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringContaining('Nothing was changed and nothing registered'),
    });
    for (const line of [
      'kind: Installation',
      'kind: ManagementClusterConnection',
      `managementClusterAddr: ${bench.plane.tunnelAddress}`,
    ])
      expect(stdout).toContain(`${line}\n`);
    expect(stdout).not.toContain('Preflight');
    expect(bench.plane.requests.filter(({ method }) => method !== 'GET')).toEqual([]);
    expect(bench.cluster.all().map(({ kind }) => kind)).toEqual(['Node']);
  });

  (onPath('script') === undefined ? describe.skip : describe)('on a terminal', () => {
    test.each(['\n', 'n\n'])(
      'it names cluster and context and asks; %j leaves everything as it is',
      async (typed) => {
        const { code, stdout } = await bench.run(
          ['--ca-file', bench.plane.caFile, '--token', bench.plane.token],
          { typed },
        );
        expect({ code, stdout }).toEqual({
          code: 3,
          stdout: expect.stringMatching(
            /Connect kind-shop \(https:\/\/kubernetes\.example:6443\) as kind-shop to https:.*, and install Calico v3\.32\.1\? \[y\/N\] [^]*Nothing was changed\./,
          ),
        });
        expect(bench.cluster.all().map(({ kind }) => kind)).toEqual(['Node']);
        expect(bench.plane.requests.filter(({ method }) => method !== 'GET')).toEqual([]);
      },
    );

    test('yes goes on', async () => {
      const { code, stdout } = await bench.run(
        ['--ca-file', bench.plane.caFile, '--token', bench.plane.token],
        { typed: 'yes\n' },
      );
      expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('Connected: kind-shop') });
    }, 60_000);
  });
});
