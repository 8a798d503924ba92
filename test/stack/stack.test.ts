/** One start of the whole stack for everything that is asked of a running one, and a second that finds its data. */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { accessRules } from './access-rules.ts';
import { admissionBundles } from './admission-bundle.ts';
import { admissionReviews } from './admission-reviews.ts';
import { admissionWebhook } from './admission-webhook.ts';
import { certificateRenewal } from './certificate-renewal.ts';
import { clustersApi } from './clusters-api.ts';
import { commandLine } from './command-line.ts';
import { connectDocument } from './connect-document.ts';
import { credentials } from './credentials.ts';
import { registerCluster } from './further-cluster.ts';
import type { OpenWatch } from './https-client.ts';
import { furtherClusters } from './further-clusters.ts';
import { kubectl } from './kubectl.ts';
import { changedManifests, withChangedManifests, withoutManifests } from './manifests.ts';
import { progressOfClusters } from './progress.ts';
import { publicAssets } from './public-assets.ts';
import { registrationRace } from './registration-race.ts';
import { alpineDigest, pushAlpine, scan } from './scan.ts';
import { scanReport } from './scan-report.ts';
import { scanUploads } from './scan-uploads.ts';
import { type Stack, StackProcess, startStack } from './stack.ts';
import { synthesisedPolicies } from './synthesised-policies.ts';
import { tenantIsolation } from './tenant-isolation.ts';
import { tunnelKilled } from './tunnel-killed.ts';

const startMs = 160_000;
const documentedKeys = [
  ...['accessUrl', 'adminToken', 'apiUrl', 'caFile', 'demoClusterId', 'tenantId', 'tunnelAddress'],
];

let home: string;
let data: string;
beforeAll(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'cattery-stack-'));
  data = path.join(home, 'data');
});
afterAll(() => rm(home, { recursive: true, force: true }));

describe('npm start', () => {
  const taken = createServer();
  const takenPort = () => (taken.address() as AddressInfo).port;
  let refused: StackProcess;
  let running: Stack;
  const stack = () => running;
  beforeAll(async () => {
    await new Promise<void>((resolve, reject) => {
      taken.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    // It asks for its port for some seconds; meanwhile the stack starts.
    const given = ['--access-port', String(takenPort())];
    refused = new StackProcess({ data: path.join(home, 'refused'), arguments: given });
    running = await startStack({ data });
  }, startMs);
  afterAll(async () => {
    running.disconnect();
    await running.process.destroy();
    await refused.destroy();
    await new Promise((resolve) => taken.close(resolve));
  });

  describe('what a newcomer gets', () => {
    test('stack.json has the documented keys and no others, and only its owner can read it', async () => {
      const { state, process: started } = stack();
      expect(Object.keys(state).sort()).toEqual(documentedKeys);
      expect((await stat(started.stateFile)).mode & 0o777).toBe(0o600);
      expect(state.adminToken).toMatch(/^cak_/);
      expect(await readFile(state.caFile, 'utf8')).toContain('BEGIN CERTIFICATE');
    });

    test('it says what it does while it builds, where things are, and what to try', () => {
      const { state, process: started } = stack();
      expect(started.output).toMatch(/^Starting Cattery\n\s+\d+\.\d s {2}\w/);
      for (const told of [
        state.apiUrl,
        state.accessUrl,
        state.tunnelAddress,
        state.caFile,
        'owner@demo.example',
      ])
        expect(started.output).toContain(told);
      expect(started.output).toContain('docs/connect-a-cluster.md');
      expect(started.output).not.toContain(state.adminToken);
      expect(started.output).not.toMatch(/warn/i);
    });

    test('it tells addresses on loopback', () => {
      const { state } = stack();
      for (const url of [state.apiUrl, state.accessUrl, `https://${state.tunnelAddress}`])
        expect(new URL(url).hostname).toBe('127.0.0.1');
    });

    test('the demo cluster is connected, and the owner owns the demo tenant', async () => {
      const { api, demoClusterId, state } = stack();
      expect(await api.get(`/v1/clusters/${demoClusterId}`)).toMatchObject({
        status: 200,
        json: { state: 'connected' },
      });
      expect(await api.get('/v1/me')).toMatchObject({ status: 200, json: { tenantId: state.tenantId } });
    });

    test('npm run local -- tenant create prints the same JSON for another tenant, and the same tenant again', async () => {
      const [first, second] = [
        await stack().local('tenant', 'create', 'another'),
        await stack().local('tenant', 'create', 'another'),
      ];
      const [one, again] = [first, second].map(({ stdout }) => JSON.parse(stdout) as Record<string, unknown>);
      expect(Object.keys(one ?? {}).sort()).toEqual(documentedKeys);
      expect(one).toMatchObject({ apiUrl: stack().state.apiUrl, demoClusterId: null });
      expect(one?.tenantId).not.toBe(stack().state.tenantId);
      expect(again?.tenantId).toBe(one?.tenantId);
      const me = await stack().api.get('/v1/me', { token: String(one?.adminToken) });
      expect(me.json).toMatchObject({ tenantId: one?.tenantId });
    });

    test('npm run local -- reset refuses while it runs', async () => {
      const { code, stderr } = await stack().local('reset');
      expect([code, stderr]).toEqual([1, expect.stringContaining('running')]);
      expect(existsSync(path.join(data, 'stack.json'))).toBe(true);
    });

    test('a taken port ends a start with 1 and words that name the port, the flag and the variable', async () => {
      expect(await refused.exit()).toBe(1);
      expect(refused.output).toContain(String(takenPort()));
      expect(refused.output).toContain('--access-port');
      expect(refused.output).toContain('CATTERY_ACCESS_PORT');
    });

    test('a start with manifests from where there are none ends with 1, and words that name the option', async () => {
      const astray = new StackProcess({
        data: path.join(home, 'astray'),
        arguments: ['--manifests', path.join(home, 'nowhere')],
      });
      try {
        expect(await astray.exit()).toBe(1);
        expect(astray.output).toContain(
          `--manifests ${path.join(home, 'nowhere')}: there is no such directory.`,
        );
      } finally {
        await astray.destroy();
      }
    });

    test('a second start on the same data is refused, and does the first no harm', async () => {
      const second = new StackProcess({ data });
      try {
        expect(await second.exit()).toBe(1);
        expect(second.output).toContain('Another stack is running');
        expect(second.output).toContain('--data');
        expect((await stat(stack().process.stateFile)).isFile()).toBe(true);
        expect((await stack().api.get('/healthz')).status).toBe(200);
      } finally {
        await second.destroy();
      }
    });
  });

  withoutManifests(stack);
  publicAssets(stack);
  clustersApi(stack);
  kubectl(stack);
  commandLine(stack);
  scan(stack);
  scanReport(stack);
  scanUploads(stack);
  admissionReviews(stack);
  admissionBundles(stack);
  admissionWebhook(stack);
  connectDocument(stack);
  furtherClusters(stack);
  certificateRenewal(stack);
  progressOfClusters(stack);
  credentials(stack);
  accessRules(stack);
  tenantIsolation(stack);
  synthesisedPolicies(stack);
  registrationRace(stack);
  tunnelKilled(stack);

  describe('Ctrl-C and a second npm start', () => {
    // What runs afterwards is the second stack: the tests above would find it as they found the first.
    let first: Stack;
    let clusterId: string;
    let watch: OpenWatch;
    let stopped: { code: number | null; ms: number };
    beforeAll(async () => {
      first = stack();
      expect((await pushAlpine(first)).status).toBe(201);
      ({ clusterId } = await registerCluster(first, 'second-cluster'));
      // A client that stays must not keep the stack.
      const pods = `/clusters/${first.demoClusterId}/api/v1/pods?watch=true`;
      watch = await first.access.watch(pods, 'HTTP/2');
      stopped = await first.process.interrupt();
      stateWasLeft = existsSync(first.process.stateFile);
      const { apiUrl, accessUrl, tunnelAddress } = first.state;
      open = (await Promise.all([apiUrl, accessUrl, `https://${tunnelAddress}`].map(isOpen))).filter(Boolean);
      first.disconnect();
      const manifests = await changedManifests(path.join(home, 'manifests'));
      running = await startStack({ data, arguments: ['--manifests', manifests] });
    }, 2 * startMs);
    let stateWasLeft: boolean;
    let open: boolean[];

    test('the first has stopped all that it started within 5 s, and left neither port nor stack.json', () => {
      expect(stopped.code).toBe(0);
      expect(stopped.ms).toBeLessThan(5_000);
      expect(watch.ended).toBe(true);
      expect(stateWasLeft).toBe(false);
      expect(open).toEqual([]);
      expect(first.process.output).toContain('Stopping');
    });

    test('the second finds its tenant, its CA, its clusters and its scans', async () => {
      const { api, access, state } = stack();
      expect(state.tenantId).toBe(first.state.tenantId);
      expect(state.demoClusterId).toBe(first.state.demoClusterId);
      expect(stack().ca).toBe(first.ca);
      expect((await access.get(`/clusters/${stack().demoClusterId}/api/v1/pods`)).status).toBe(200);
      expect((await api.get(`/v1/images/${alpineDigest}`)).json).toMatchObject({ verdict: 'warn' });
      expect((await api.get(`/v1/clusters/${clusterId}`)).json).toMatchObject({ state: 'pending' });
    });

    withChangedManifests(stack);
  });
});

function isOpen(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connectTcp(Number(port), hostname, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
