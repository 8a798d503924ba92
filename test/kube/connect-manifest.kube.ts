/** What Cattery renders for a cluster, judged by a real API server with each release's own CRDs. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseAllDocuments, stringify } from 'yaml';
import * as z from 'zod';
import { catalogue } from '../../core/release/catalogue.ts';
import { connectManifest } from '../../functions/install-assets/connect-manifest.ts';
import { installationPatch } from '../../functions/install-assets/installation-patch.ts';
import { clusterRecord, trust } from '../functions/install-assets/deployment.ts';
import { eventually } from '../stack/poll.ts';
import { calicoManifests } from './calico-manifests.ts';
import { call, kubectlBinaries, type Outcome } from './kubectl-binary.ts';
import { type Kube, startKube } from './kube-process.ts';

const binaries = kubectlBinaries();
const [oldest, newest] = [binaries.at(0), binaries.at(-1)];
if (newest === undefined) console.log('kubectl is not on the PATH: its tests against a real API are skipped');

const namespace = 'tigera-operator';
const secretName = 'tigera-managed-cluster-connection';
const crdNames = ['managementclusterconnections.operator.tigera.io', 'installations.operator.tigera.io'];
const named = z.looseObject({ kind: z.string(), metadata: z.looseObject({ name: z.string() }) });
const secret = z.looseObject({ data: z.record(z.string(), z.string()) });
const connectionSpec = z.looseObject({ spec: z.looseObject({ managementClusterAddr: z.string() }) });
const installation = z.looseObject({ spec: z.looseObject({}) });

const manifest = (access?: 'read' | 'edit' | 'impersonate', tunnelAddress = 'tunnel.example:9000') =>
  connectManifest({ cluster: clusterRecord('c-aaaaaaaaaaaaaaaaaaaa'), trust, tunnelAddress, access });

(newest === undefined || calicoManifests === undefined ? describe.skip : describe)(
  'a real API server with the CRDs of a release',
  () => {
    let home: string;
    let kube: Kube;
    beforeAll(async () => {
      home = await mkdtemp(path.join(tmpdir(), 'cattery-connect-'));
      kube = await startKube();
    }, 60_000);
    afterAll(async () => {
      await kube.close();
      await rm(home, { recursive: true, force: true });
    });

    const run = (given: readonly string[], input?: string, file = newest?.file ?? ''): Promise<Outcome> =>
      call(file, given, {
        home,
        environment: { KUBECONFIG: kube.kubeconfig },
        ...(input === undefined ? {} : { input }),
      });
    const kubectl = async (given: readonly string[], input?: string, file?: string): Promise<string> => {
      const { code, stdout, stderr } = await run(given, input, file);
      if (code !== 0) throw new Error(`kubectl ${given.join(' ')} (${code}): ${stderr}`);
      return stdout;
    };
    /** kubectl wait fails at once while a CRD has no conditions at all. */
    const established = (names: readonly string[]) =>
      eventually(`${names.join()} are served`, 30_000, async () => {
        const crds = names.map((name) => `crd/${name}`);
        return (await run(['wait', '--for=condition=Established', '--timeout=10s', ...crds])).code === 0;
      });
    const upstream = async (version: string, name: string) =>
      parseAllDocuments(await readFile(path.join(calicoManifests ?? '', version, name), 'utf8'))
        .map((document) => document.toJS() as unknown)
        .filter((document) => document !== null)
        .map((document) => named.parse(document));
    const yaml = (objects: readonly object[]) => objects.map((each) => stringify(each)).join('---\n');

    describe.each(catalogue().releases.map(({ version }) => version))('%s', (version) => {
      beforeAll(async () => {
        const crds = (await upstream(version, 'operator-crds.yaml')).filter(({ metadata }) =>
          crdNames.includes(metadata.name),
        );
        expect(crds).toHaveLength(crdNames.length);
        await kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], yaml(crds));
        await established(crdNames);
        await kubectl(
          ['apply', '-f', '-'],
          stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }),
        );
      }, 60_000);
      afterAll(async () => {
        await kubectl(['delete', 'crd', ...crdNames]);
        await kubectl(['delete', 'secret', '--all', '-n', namespace]);
        const ours = 'app.kubernetes.io/managed-by=cattery';
        await kubectl(['delete', 'clusterrole,clusterrolebinding', '-l', ours]);
      }, 60_000);

      test.each(binaries.filter((each) => each === oldest || each === newest))(
        'takes the connect manifest in a dry run of the server, strictly, from kubectl $version',
        async ({ file }) => {
          const how = ['--dry-run=server', '--validate=strict'];
          for (const access of [undefined, 'edit', 'impersonate'] as const)
            for (const side of ['--server-side', '--server-side=false']) {
              const said = await kubectl(['apply', side, ...how, '-f', '-'], manifest(access), file);
              expect(said).toContain('managementclusterconnection.operator.tigera.io/tigera-secure');
            }
        },
      );

      test('refuses the same manifest with a member that no release knows, or another CA', async () => {
        const wrong = manifest().replace('managementClusterAddr:', 'managementClusterAddress:');
        const strict = await run(['apply', '--server-side', '--dry-run=server', '-f', '-'], wrong);
        expect(strict.code).not.toBe(0);
        expect(strict.stderr).toMatch(/managementClusterAddress/);
        const ca = manifest().replace('ca: Tigera', 'ca: Mine');
        expect((await run(['apply', '--dry-run=server', '-f', '-'], ca)).stderr).toContain('spec.tls.ca');
      });

      test('keeps the key, which its owner added, when the manifest is applied again and after a change', async () => {
        const commands = manifest()
          .split('\n')
          .filter((line) => line.startsWith('#   '))
          .map((line) => line.slice(4));
        const [applying = '', ...adding] = commands;
        expect([applying, adding.join('\n')]).toEqual([
          expect.stringMatching(/^kubectl apply -f /),
          expect.stringMatching(/^kubectl create secret [^]*kubectl patch secret /),
        ]);
        await writeFile(path.join(home, 'managed-cluster.key'), 'the key');
        await writeFile(path.join(home, 'connect.yaml'), manifest());
        for (const written of [applying, adding.join('\n')]) {
          const outcome = await call('sh', ['-ec', written], {
            home,
            environment: { KUBECONFIG: kube.kubeconfig },
          });
          expect([written, outcome.code, outcome.stderr]).toEqual([written, 0, '']);
        }
        expect(await keysOfSecret()).toEqual([
          'managed-cluster.crt',
          'managed-cluster.key',
          'management-cluster.crt',
        ]);
        expect(await kubectl(['apply', '-f', '-'], manifest())).toContain(`secret/${secretName} unchanged`);
        const moved = manifest(undefined, 'elsewhere.example:9443');
        await kubectl(['apply', '-f', '-'], moved);
        await kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], moved);
        expect(await keysOfSecret()).toHaveLength(3);
        const found = connectionSpec.parse(
          JSON.parse(await kubectl(['get', 'managementclusterconnection', 'tigera-secure', '-o', 'json'])),
        );
        expect(found.spec).toEqual({
          managementClusterAddr: 'elsewhere.example:9443',
          tls: { ca: 'Tigera' },
        });
      }, 30_000);
      const keysOfSecret = async () => {
        const text = await kubectl(['get', 'secret', secretName, '-n', namespace, '-o', 'json']);
        return Object.keys(secret.parse(JSON.parse(text)).data).sort();
      };

      test("takes the installation patch into upstream's Installation, whose other members stay", async () => {
        const [own] = (await upstream(version, 'custom-resources.yaml')).filter(
          ({ kind }) => kind === 'Installation',
        );
        await kubectl(['apply', '--server-side', '-f', '-'], stringify(own));
        const patch = installationPatch({
          registry: 'registry.example:5000',
          imagePath: 'mirror/calico',
          imagePullSecret: 'registry-login',
          httpsProxy: 'http://proxy.example:3128',
          noProxy: '.svc,.cluster.local,10.96.0.0/12',
        });
        await writeFile(path.join(home, 'patch.json'), JSON.stringify(patch));
        const patching = ['patch', 'installation', 'default', '--type=merge', '--patch-file', 'patch.json'];
        for (const { file } of binaries.filter((each) => each === oldest || each === newest))
          expect(await kubectl(patching, undefined, file)).toContain('patched');
        const { spec } = installation.parse(
          JSON.parse(await kubectl(['get', 'installation', 'default', '-o', 'json'])),
        );
        const { spec: before } = installation.parse(own);
        expect(spec).toMatchObject(patch.spec);
        expect(spec.calicoNetwork).toMatchObject(before.calicoNetwork as object);
      });
    });

    test('has refused a ManagementClusterConnection of another name where the release says so', async () => {
      const [crd] = (await upstream('v3.32.1', 'operator-crds.yaml')).filter(
        ({ metadata }) => metadata.name === crdNames[0],
      );
      await kubectl(['apply', '--server-side', '-f', '-'], stringify(crd));
      await established(crdNames.slice(0, 1));
      const other = yaml([
        parseAllDocuments(manifest().replace('name: tigera-secure', 'name: cattery'))
          .at(-1)
          ?.toJS() as object,
      ]);
      const { code, stderr } = await run(['apply', '--dry-run=server', '-f', '-'], other);
      expect(code).not.toBe(0);
      expect(stderr).toContain("resource name must be 'default' or 'tigera-secure'");
    }, 60_000);
  },
);
