import { once } from 'node:events';
import { connect } from 'node:http2';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { addDemoObjects } from '../../../local/demo-cluster/demo-objects.ts';
import type { KubeApi } from '../../../local/demo-cluster/kube-api-server.ts';
import { startKubeApi } from '../../../local/demo-cluster/kube-api-server.ts';
import type { Json } from '../../../local/demo-cluster/kube-json.ts';
import { at, listAt, textAt } from '../../../local/demo-cluster/kube-json.ts';
import { call, tableAccept } from './kube-client.ts';

const names = (list: Json) => listAt(list, 'items').map((item) => textAt(item, 'metadata', 'name'));
const configMap = (name: string, extra: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data: { a: '1' },
  ...extra,
});
const shopMaps = '/api/v1/namespaces/shop/configmaps';

describe('the demo API server', () => {
  let api: KubeApi;
  beforeEach(async () => {
    api = await startKubeApi();
    addDemoObjects(api.store, new Date('2026-11-23T08:00:00Z'));
  });
  afterEach(() => api.close());

  describe('who may ask', () => {
    test('refuses a missing and a wrong token with 401 Unauthorized', async () => {
      for (const token of ['', 'wrong', `${api.token}x`]) {
        const { status, json } = await call(api, '/api/v1/pods', { token });
        expect([status, textAt(json, 'kind'), textAt(json, 'reason')]).toEqual([
          401,
          'Status',
          'Unauthorized',
        ]);
      }
    });

    test('refuses impersonation with 403, as a cluster does whose Guardian has stock rights', async () => {
      const { status, json } = await call(api, '/api/v1/pods', { headers: { 'impersonate-user': 'root' } });
      expect([status, textAt(json, 'reason')]).toEqual([403, 'Forbidden']);
      const group = await call(api, '/api/v1/pods', { headers: { 'impersonate-group': 'system:masters' } });
      expect(group.status).toBe(400);
    });

    test('speaks HTTP/2 as well', async () => {
      const session = connect(api.url, { ca: api.ca });
      const request = session.request({
        ':path': '/api/v1/namespaces',
        authorization: `Bearer ${api.token}`,
      });
      let text = '';
      request.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      await once(request, 'end');
      session.close();
      expect(names(JSON.parse(text) as Json)).toEqual(['calico-system', 'default', 'kube-system', 'shop']);
    });
  });

  describe('reading', () => {
    test('has the pods of a Calico cluster and of a shop, labelled as demo', async () => {
      const { json } = await call(api, '/api/v1/pods?labelSelector=cattery.dev/demo%3Dtrue');
      const workloads = names(json).map((name) => name.split('-')[0]);
      expect(workloads).toEqual(
        expect.arrayContaining(['goldmane', 'whisker', 'guardian', 'calico', 'coredns', 'frontend', 'cart']),
      );
      expect(names(json)).toEqual(names((await call(api, '/api/v1/pods')).json));
    });

    test('tells the Calico version through clusterinformations/default', async () => {
      const { json } = await call(api, '/apis/projectcalico.org/v3/clusterinformations/default');
      expect(at(json, 'spec')).toMatchObject({ calicoVersion: 'v3.32.1', variant: 'Calico' });
    });

    test('selects by label: =, !=, in, notin, exists, not exists', async () => {
      const select = async (selector: string) =>
        names(
          (await call(api, `/api/v1/namespaces/shop/services?labelSelector=${encodeURIComponent(selector)}`))
            .json,
        );
      expect(await select('app.kubernetes.io/name=cart')).toEqual(['cart']);
      expect(await select('app.kubernetes.io/name!=cart')).toEqual(['frontend']);
      expect(await select('app.kubernetes.io/name in (cart,frontend),cattery.dev/demo')).toEqual([
        'cart',
        'frontend',
      ]);
      expect(await select('app.kubernetes.io/name notin (cart)')).toEqual(['frontend']);
      expect(await select('!cattery.dev/demo')).toEqual([]);
      expect((await call(api, '/api/v1/pods?labelSelector=a%20b')).status).toBe(400);
    });

    test('selects by field and refuses a field that the kind does not offer with 400', async () => {
      const { json } = await call(
        api,
        '/api/v1/pods?fieldSelector=metadata.namespace%3Dkube-system,status.phase%3DRunning',
      );
      expect(names(json)).toHaveLength(2);
      expect(names((await call(api, '/api/v1/pods?fieldSelector=status.phase!%3DRunning')).json)).toEqual([]);
      const refused = await call(api, '/api/v1/pods?fieldSelector=spec.hostname%3Dx');
      expect([refused.status, textAt(refused.json, 'message')]).toEqual([
        400,
        'field label not supported: spec.hostname',
      ]);
    });

    test('pages with limit and continue through every object exactly once', async () => {
      const seen: string[] = [];
      let token = '';
      let pages = 0;
      do {
        const { json } = await call(api, `/api/v1/pods?limit=4&continue=${token}`);
        seen.push(...names(json));
        token = textAt(json, 'metadata', 'continue');
        pages += 1;
        if (pages === 1) expect(at(json, 'metadata', 'remainingItemCount')).toBe(9);
      } while (token);
      expect(pages).toBe(4);
      expect(seen).toEqual(names((await call(api, '/api/v1/pods')).json));
      expect((await call(api, '/api/v1/pods?continue=garbage')).status).toBe(400);
    });

    test('answers 504 Timeout for a resourceVersion from the future', async () => {
      const { status, json } = await call(api, '/api/v1/pods?resourceVersion=999999999999999');
      expect([status, textAt(json, 'reason')]).toEqual([504, 'Timeout']);
    });

    test('gives a Table where one is asked for, with the metadata, the object or nothing', async () => {
      const path = '/api/v1/namespaces/shop/pods';
      const table = (await call(api, path, { headers: { accept: tableAccept } })).json;
      expect(textAt(table, 'kind')).toBe('Table');
      expect(
        listAt(table, 'columnDefinitions')
          .slice(0, 5)
          .map((column) => textAt(column, 'name')),
      ).toEqual(['Name', 'Ready', 'Status', 'Restarts', 'Age']);
      expect(listAt(table, 'rows', 0, 'cells').slice(1, 4)).toEqual(['1/1', 'Running', '0']);
      expect(textAt(table, 'rows', 0, 'object', 'kind')).toBe('PartialObjectMetadata');
      const full = (await call(api, `${path}?includeObject=Object`, { headers: { accept: tableAccept } }))
        .json;
      expect(textAt(full, 'rows', 0, 'object', 'kind')).toBe('Pod');
      const none = (await call(api, `${path}?includeObject=None`, { headers: { accept: tableAccept } })).json;
      expect(at(none, 'rows', 0, 'object')).toBeUndefined();
    });

    test('gives a Table of one row for one object, and metadata alone on request', async () => {
      const table = (await call(api, '/api/v1/namespaces/shop', { headers: { accept: tableAccept } })).json;
      expect(listAt(table, 'rows')).toHaveLength(1);
      const accept = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io';
      const partial = (await call(api, '/api/v1/nodes', { headers: { accept } })).json;
      expect(textAt(partial, 'kind')).toBe('PartialObjectMetadataList');
      expect(names(partial)).toHaveLength(3);
      expect(listAt(partial, 'items').every((item) => at(item, 'spec') === undefined)).toBe(true);
    });

    test('answers 406 to who takes no JSON', async () => {
      expect((await call(api, '/api/v1/pods', { headers: { accept: 'text/html' } })).status).toBe(406);
    });

    test('gives a log with tailLines, timestamps and limitBytes', async () => {
      const [pod = ''] = names((await call(api, '/api/v1/namespaces/shop/pods')).json);
      for (const n of [1, 2, 3])
        api.logs.append('shop', pod, { at: new Date(1_000_000_000_000 + n), text: `line ${n}` });
      const path = `/api/v1/namespaces/shop/pods/${pod}/log`;
      expect((await call(api, `${path}?tailLines=2`)).text).toBe('line 2\nline 3\n');
      expect((await call(api, `${path}?tailLines=1&timestamps=true`)).text).toBe(
        '2001-09-09T01:46:40.003Z line 3\n',
      );
      expect((await call(api, `${path}?limitBytes=9`)).text).toBe('line 1\nli');
      expect((await call(api, `${path}?container=nope`)).status).toBe(400);
    });
  });

  describe('writing', () => {
    test('creates with 201, refuses the same name with 409 AlreadyExists and a missing namespace with 404', async () => {
      const created = await call(api, shopMaps, { method: 'POST', body: configMap('a') });
      expect([created.status, textAt(created.json, 'metadata', 'namespace')]).toEqual([201, 'shop']);
      expect(textAt(created.json, 'metadata', 'uid')).not.toBe('');
      const again = await call(api, shopMaps, { method: 'POST', body: configMap('a') });
      expect([again.status, textAt(again.json, 'reason')]).toEqual([409, 'AlreadyExists']);
      const nowhere = await call(api, '/api/v1/namespaces/nope/configmaps', {
        method: 'POST',
        body: configMap('a'),
      });
      expect([nowhere.status, textAt(nowhere.json, 'message')]).toEqual([404, 'namespaces "nope" not found']);
    });

    test('makes a name from generateName', async () => {
      const { json } = await call(api, shopMaps, {
        method: 'POST',
        body: { metadata: { generateName: 'run-' } },
      });
      expect(textAt(json, 'metadata', 'name')).toMatch(/^run-[a-z0-9]{5}$/);
    });

    test('keeps nothing of a dry run', async () => {
      const rehearsal = await call(api, `${shopMaps}?dryRun=All`, { method: 'POST', body: configMap('a') });
      expect(rehearsal.status).toBe(201);
      expect((await call(api, `${shopMaps}/a`)).status).toBe(404);
      expect(
        (await call(api, `${shopMaps}?dryRun=Some`, { method: 'POST', body: configMap('a') })).status,
      ).toBe(400);
    });

    test('updates at the version it was read, and refuses an older one with 409 Conflict', async () => {
      const { json } = await call(api, shopMaps, { method: 'POST', body: configMap('a') });
      const version = textAt(json, 'metadata', 'resourceVersion');
      const body = configMap('a', { metadata: { name: 'a', resourceVersion: version }, data: { a: '2' } });
      const updated = await call(api, `${shopMaps}/a`, { method: 'PUT', body });
      expect([updated.status, textAt(updated.json, 'data', 'a')]).toEqual([200, '2']);
      const late = await call(api, `${shopMaps}/a`, { method: 'PUT', body: { ...body, data: { a: '3' } } });
      expect([late.status, textAt(late.json, 'reason')]).toEqual([409, 'Conflict']);
      expect((await call(api, `${shopMaps}/b`, { method: 'PUT', body: configMap('b') })).status).toBe(404);
    });

    test('makes no new version for an update that changes nothing', async () => {
      const { json } = await call(api, shopMaps, { method: 'POST', body: configMap('a') });
      const again = await call(api, `${shopMaps}/a`, { method: 'PUT', body: json });
      expect(textAt(again.json, 'metadata', 'resourceVersion')).toBe(
        textAt(json, 'metadata', 'resourceVersion'),
      );
    });

    test('refuses unknown fields under fieldValidation=Strict with 400 and drops them otherwise', async () => {
      const body = configMap('a', { dta: {} });
      const strict = await call(api, `${shopMaps}?fieldValidation=Strict`, { method: 'POST', body });
      expect([strict.status, textAt(strict.json, 'message')]).toEqual([
        400,
        expect.stringContaining('unknown field "dta"'),
      ]);
      expect(at((await call(api, shopMaps, { method: 'POST', body })).json, 'dta')).toBeUndefined();
    });

    test('refuses a bad name, a bad label and a deployment without selector with 422 Invalid', async () => {
      const deployment = {
        metadata: { name: 'd' },
        spec: { template: { spec: { containers: [{ name: 'c', image: 'i' }] } } },
      };
      const attempts: [string, unknown][] = [
        [shopMaps, configMap('Not_A_Name')],
        [shopMaps, configMap('a', { metadata: { name: 'a', labels: { a: 'b c' } } })],
        ['/apis/apps/v1/namespaces/shop/deployments', deployment],
        ['/api/v1/namespaces/shop/pods', { metadata: { name: 'p' }, spec: { containers: [] } }],
      ];
      for (const [path, body] of attempts) {
        const { status, json } = await call(api, path, { method: 'POST', body });
        expect([status, textAt(json, 'reason')]).toEqual([422, 'Invalid']);
      }
    });

    test('refuses a body that is no JSON, of another kind or of another namespace with 400', async () => {
      const bodies = [
        '{',
        configMap('a', { kind: 'Secret' }),
        configMap('a', { metadata: { name: 'a', namespace: 'default' } }),
      ];
      for (const body of bodies)
        expect((await call(api, shopMaps, { method: 'POST', body })).status).toBe(400);
    });

    test('refuses other media types with 415, other methods with 405 and a body over 3 MiB with 413', async () => {
      const headers = { 'content-type': 'text/plain' };
      expect((await call(api, shopMaps, { method: 'POST', headers, body: 'x' })).status).toBe(415);
      await call(api, shopMaps, { method: 'POST', body: configMap('a') });
      expect((await call(api, `${shopMaps}/a`, { method: 'PATCH', headers, body: 'x' })).status).toBe(415);
      expect((await call(api, shopMaps, { method: 'PUT', body: configMap('a') })).status).toBe(405);
      expect((await call(api, `${shopMaps}/a`, { method: 'POST', body: configMap('a') })).status).toBe(405);
      const big = configMap('big', { data: { a: 'x'.repeat(3 * 1024 * 1024) } });
      expect((await call(api, shopMaps, { method: 'POST', body: big })).status).toBe(413);
    });

    test('patches by merge, JSON patch and strategic merge, each with a dry run that leaves no trace', async () => {
      await call(api, shopMaps, { method: 'POST', body: configMap('a') });
      const patch = (type: string, body: unknown, query = '') =>
        call(api, `${shopMaps}/a${query}`, { method: 'PATCH', headers: { 'content-type': type }, body });
      expect(
        at(
          (await patch('application/merge-patch+json', { data: { b: '2', a: null } }, '?dryRun=All')).json,
          'data',
        ),
      ).toEqual({ b: '2' });
      expect(at((await patch('application/merge-patch+json', { data: { b: '2' } })).json, 'data')).toEqual({
        a: '1',
        b: '2',
      });
      expect(
        at((await patch('application/json-patch+json', [{ op: 'remove', path: '/data/b' }])).json, 'data'),
      ).toEqual({ a: '1' });
      const labelled = await patch('application/strategic-merge-patch+json', {
        metadata: { labels: { team: 'cats' } },
      });
      expect(at(labelled.json, 'metadata', 'labels')).toEqual({ team: 'cats' });
      expect(
        (await patch('application/json-patch+json', [{ op: 'test', path: '/data/a', value: '9' }])).status,
      ).toBe(422);
      expect(
        (await patch('application/merge-patch+json', { metadata: { resourceVersion: '1' } })).status,
      ).toBe(409);
    });

    test('applies on the server from YAML: creates what is missing, merges what is there, needs a field manager', async () => {
      const headers = { 'content-type': 'application/apply-patch+yaml' };
      const body = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: "1"}\n';
      const apply = (query: string, text = body) =>
        call(api, `${shopMaps}/a?${query}`, { method: 'PATCH', headers, body: text });
      expect((await apply('force=true')).status).toBe(400);
      expect((await apply('fieldManager=test&dryRun=All')).status).toBe(201);
      expect((await call(api, `${shopMaps}/a`)).status).toBe(404);
      expect((await apply('fieldManager=test')).status).toBe(201);
      const merged = await apply('fieldManager=test', body.replace('x: "1"', 'y: "2"'));
      expect([merged.status, at(merged.json, 'data')]).toEqual([200, { x: '1', y: '2' }]);
    });

    test('changes status only through /status, and the rest only beside it', async () => {
      const path = '/apis/apps/v1/namespaces/shop/deployments/cart';
      const headers = { 'content-type': 'application/merge-patch+json' };
      const body = { spec: { replicas: 3 }, status: { replicas: 9 } };
      const main = (await call(api, path, { method: 'PATCH', headers, body })).json;
      expect([
        at(main, 'spec', 'replicas'),
        at(main, 'status', 'replicas'),
        at(main, 'metadata', 'generation'),
      ]).toEqual([3, 1, 2]);
      const status = (
        await call(api, `${path}/status`, {
          method: 'PATCH',
          headers,
          body: { spec: { replicas: 5 }, status: { replicas: 9 } },
        })
      ).json;
      expect([
        at(status, 'spec', 'replicas'),
        at(status, 'status', 'replicas'),
        at(status, 'metadata', 'generation'),
      ]).toEqual([3, 9, 2]);
    });

    test('scales a deployment through /scale', async () => {
      const path = '/apis/apps/v1/namespaces/shop/deployments/cart/scale';
      const scale = (await call(api, path)).json;
      expect(scale).toMatchObject({
        kind: 'Scale',
        spec: { replicas: 1 },
        status: { selector: 'app.kubernetes.io/name=cart' },
      });
      const headers = { 'content-type': 'application/merge-patch+json' };
      const patched = await call(api, path, { method: 'PATCH', headers, body: { spec: { replicas: 4 } } });
      expect(at(patched.json, 'spec', 'replicas')).toBe(4);
      expect(
        (await call(api, path, { method: 'PATCH', headers, body: { spec: { replicas: -1 } } })).status,
      ).toBe(422);
    });

    test('deletes with what is owned, honours preconditions, and leaves default alone with 403', async () => {
      const path = '/apis/apps/v1/namespaces/shop/deployments/cart';
      const wrong = await call(api, path, { method: 'DELETE', body: { preconditions: { uid: 'other' } } });
      expect([wrong.status, textAt(wrong.json, 'reason')]).toEqual([409, 'Conflict']);
      const rehearsal = await call(api, `${path}?dryRun=All`, { method: 'DELETE' });
      expect([rehearsal.status, (await call(api, path)).status]).toEqual([200, 200]);
      const gone = await call(api, path, { method: 'DELETE' });
      expect(gone.json).toMatchObject({
        kind: 'Status',
        status: 'Success',
        details: { name: 'cart', kind: 'deployments' },
      });
      const left = names((await call(api, '/api/v1/namespaces/shop/pods')).json);
      expect(left.filter((name) => name.startsWith('cart'))).toEqual([]);
      expect((await call(api, path)).status).toBe(404);
      expect((await call(api, '/api/v1/namespaces/default', { method: 'DELETE' })).status).toBe(403);
      expect((await call(api, '/api/v1/namespaces/shop', { method: 'DELETE' })).status).toBe(200);
      expect(names((await call(api, '/api/v1/namespaces/shop/pods')).json)).toEqual([]);
    });

    test('deletes a collection by label', async () => {
      await call(api, shopMaps, {
        method: 'POST',
        body: configMap('a', { metadata: { name: 'a', labels: { kind: 'x' } } }),
      });
      await call(api, shopMaps, { method: 'POST', body: configMap('b') });
      expect((await call(api, `${shopMaps}?labelSelector=kind%3Dx`, { method: 'DELETE' })).status).toBe(200);
      expect(names((await call(api, shopMaps)).json)).toEqual(['b']);
    });
  });
});
