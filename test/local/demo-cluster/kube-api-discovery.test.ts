import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { KubeApi } from '../../../local/demo-cluster/kube-api-server.ts';
import { startKubeApi } from '../../../local/demo-cluster/kube-api-server.ts';
import { at, listAt, textAt } from '../../../local/demo-cluster/kube-json.ts';
import { call } from './kube-client.ts';

const aggregatedAccept =
  'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json';

describe('discovery of the demo API', () => {
  let api: KubeApi;
  beforeAll(async () => {
    api = await startKubeApi();
  });
  afterAll(() => api.close());

  test('gives the aggregated form at /api and /apis to who asks for it', async () => {
    const core = await call(api, '/api', { headers: { accept: aggregatedAccept } });
    const groups = await call(api, '/apis', { headers: { accept: aggregatedAccept } });
    expect(core.headers['content-type']).toBe(
      'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList',
    );
    expect(textAt(core.json, 'kind')).toBe('APIGroupDiscoveryList');
    const pods = listAt(core.json, 'items', 0, 'versions', 0, 'resources').find(
      (entry) => textAt(entry, 'resource') === 'pods',
    );
    expect(pods).toMatchObject({
      scope: 'Namespaced',
      singularResource: 'pod',
      shortNames: ['po'],
      responseKind: { group: '', version: 'v1', kind: 'Pod' },
    });
    expect(listAt(groups.json, 'items').map((group) => textAt(group, 'metadata', 'name'))).toEqual([
      'apps',
      'networking.k8s.io',
      'projectcalico.org',
    ]);
  });

  test('gives v2beta1 to a client that knows only that', async () => {
    const accept = 'application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList';
    const { json } = await call(api, '/apis', { headers: { accept } });
    expect(textAt(json, 'apiVersion')).toBe('apidiscovery.k8s.io/v2beta1');
  });

  test('gives only the legacy form at /apis/, whatever is asked, as real API servers do', async () => {
    const core = await call(api, '/api/', { headers: { accept: aggregatedAccept } });
    const groups = await call(api, '/apis/', { headers: { accept: aggregatedAccept } });
    expect(textAt(core.json, 'kind')).toBe('APIGroupDiscoveryList');
    expect(textAt(groups.json, 'kind')).toBe('APIGroupList');
  });

  test('gives the legacy form at /api and /apis to who asks for plain JSON', async () => {
    expect(textAt((await call(api, '/api')).json, 'kind')).toBe('APIVersions');
    expect(textAt((await call(api, '/apis')).json, 'kind')).toBe('APIGroupList');
  });

  test('lists the resources of a group version with their subresources', async () => {
    const { json } = await call(api, '/apis/apps/v1');
    expect(textAt(json, 'groupVersion')).toBe('apps/v1');
    const names = listAt(json, 'resources').map((entry) => textAt(entry, 'name'));
    expect(names).toEqual(
      expect.arrayContaining(['deployments', 'deployments/scale', 'deployments/status', 'replicasets']),
    );
    expect((await call(api, '/apis/apps')).json).toMatchObject({
      kind: 'APIGroup',
      preferredVersion: { groupVersion: 'apps/v1' },
    });
  });

  test('answers 404 for a group, a version and a path that are not served', async () => {
    for (const path of [
      '/apis/nope',
      '/apis/apps/v9',
      '/api/v2',
      '/healthy',
      '/apis/apps/v1/nope',
      '/api/v1/pods/x',
    ]) {
      const { status, json } = await call(api, path);
      expect([path, status, textAt(json, 'reason')]).toEqual([path, 404, 'NotFound']);
    }
  });

  test('offers field validation in /openapi/v3 for every kind it serves', async () => {
    const index = await call(api, '/openapi/v3');
    const url = textAt(at(index.json, 'paths', 'apis/apps/v1'), 'serverRelativeURL');
    const { json } = await call(api, url);
    const patch = at(json, 'paths', '/apis/apps/v1/namespaces/{namespace}/deployments/{name}', 'patch');
    expect(patch).toMatchObject({
      'x-kubernetes-group-version-kind': { group: 'apps', version: 'v1', kind: 'Deployment' },
      parameters: [{ name: 'fieldValidation' }],
    });
  });

  test('tells its version, marked as demo', async () => {
    const { json } = await call(api, '/version');
    expect(json).toMatchObject({
      major: '1',
      minor: '33',
      gitVersion: expect.stringContaining('demo'),
    });
  });
});
