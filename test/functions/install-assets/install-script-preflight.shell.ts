/** What install.sh looks at before it changes anything: each check, its verdict and its remedy. */
import { readdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { listening } from './script/control-plane.ts';
import { type Case, daemonSet, minutes, passed, refused } from './script/preflight-cases.ts';
import { onPath, shellsHere } from './script/shells.ts';
import type { KubectlCall } from './script/stand-in-cluster.ts';
import { type Outcome, Workbench } from './script/workbench.ts';

const possible = (['curl', 'openssl'] as const).every((tool) => onPath(tool) !== undefined);
if (!possible) console.log('curl or openssl is missing: the checks of install.sh are not tried');
/** The checks are the same in all; the strictest here decides. */
const shell = possible ? (shellsHere().find(({ name }) => name === 'dash') ?? shellsHere()[0]) : undefined;

const reading = [
  'get',
  'auth',
  'version',
  'config',
  'api-resources',
  'api-versions',
  'cluster-info',
  'explain',
];
/** The calls that change a cluster, or would. */
const changes = (calls: readonly KubectlCall[]) =>
  calls
    .map(({ given }) => given)
    .filter(
      (given) => !given.some((word) => reading.includes(word) || word.endsWith('/selfsubjectaccessreviews')),
    );

(shell ? describe : describe.skip)('the checks of install.sh', () => {
  let bench: Workbench | undefined;
  let plainServer: Server | undefined;
  afterEach(async () => {
    plainServer?.close();
    plainServer = undefined;
    await bench?.close();
    bench = undefined;
  });

  async function check(asked: Case): Promise<Outcome> {
    if (!shell) throw new Error('There is no shell.');
    const { when, without, given = [], environment, script, plain, ca, noCa = false } = asked;
    bench = await Workbench.open(shell, without === undefined ? {} : { without: [without] });
    const { plane, cluster } = bench;
    cluster.put({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1' } });
    await when?.(bench);
    let text = await plane.script();
    if (script?.api !== undefined) text = text.replace(plane.url, script.api);
    if (script?.tunnel !== undefined) text = text.replace(plane.tunnelAddress, script.tunnel);
    if (plain !== undefined) {
      // Whatever it is asked, it answers as a mail server would.
      plainServer = createServer((socket) => socket.on('error', () => undefined).end('220 mail.example\r\n'));
      const address = `127.0.0.1:${await listening(plainServer)}`;
      text = text.replace(
        plain === 'api' ? plane.url : plane.tunnelAddress,
        plain === 'api' ? `https://${address}` : address,
      );
    }
    let caFile = plane.caFile;
    if (ca !== undefined) {
      caFile = path.join(bench.tmp, '..', 'ca.pem');
      writeFileSync(caFile, ca);
    }
    const done = await bench.run(['--check', ...(noCa ? [] : ['--ca-file', caFile]), ...given], {
      script: text,
      ...(environment === undefined ? {} : { environment }),
    });
    // Whatever the verdict: nothing was changed, here, there or in the API, and nothing is left lying about.
    expect(cluster.unknown).toEqual([]);
    expect(changes(cluster.calls)).toEqual([]);
    expect(plane.requests.filter(({ method }) => method !== 'GET')).toEqual([]);
    expect(readdirSync(bench.tmp)).toEqual([]);
    return done;
  }

  test.each(refused)('$what: refuses with 3, says so and what to do, and changes nothing', async (asked) => {
    const { code, stdout, stderr } = await check(asked);
    expect({ code, stdout, stderr }).toMatchObject({ code: 3 });
    for (const said of asked.says) expect(stdout).toMatch(said);
    expect(stdout.match(/FAIL/g)).toHaveLength(1);
    expect(stderr).toMatch(/preflight refused: \w+\. Nothing was changed\.\n$/);
  });

  test.each(passed)('$what: passes with 0, and changes nothing', async (asked) => {
    const { code, stdout, stderr } = await check(asked);
    expect({ code, stdout, stderr }).toMatchObject({ code: 0, stderr: '' });
    for (const said of asked.says) expect(stdout).toMatch(said);
    expect(stdout).toMatch(/Nothing stands in the way\. Nothing was changed\.\n$/);
  });

  test('all that is wrong is told at once', async () => {
    const { code, stdout, stderr } = await check({
      what: 'much',
      when: ({ plane, cluster }) => {
        plane.aheadMs = 30 * minutes;
        cluster.put(daemonSet('kube-system', 'cilium'));
        cluster.denied.push('* *', 'create namespaces');
      },
      says: [],
    });
    expect(code).toBe(3);
    expect(stdout.match(/FAIL +\w+/g)?.map((each) => each.replace(/FAIL +/, ''))).toEqual([
      'clock',
      'network',
      'rights',
    ]);
    expect(stderr).toContain('preflight refused: clock network rights.');
  });
});
