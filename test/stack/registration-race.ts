/** Many uses of one registration token at the same time, through the real API. */
import { expect, test } from '@jest/globals';
import { registrationTokenIssued } from '../../core/credential/registration-token-schema.ts';
import { ecPair, makeRequest } from '../functions/registration/certificate-requests.ts';
import type { Stack } from './stack.ts';

/** A thousand are tried on the use case itself (test/functions/registration); here it is the whole way. */
const uses = 200;
const keys = 8;
const facts = {
  kubernetesVersion: 'v1.33.2',
  calicoVersion: 'v3.32.1',
  distribution: 'kubeadm',
  nodeCount: 3,
};

export function registrationRace(stack: () => Stack): void {
  test(`${uses} concurrent uses of one registration token by ${keys} keys make exactly one cluster`, async () => {
    const { api } = stack();
    const clusterName = 'raced';
    const { token } = registrationTokenIssued.parse(
      (await api.post('/v1/registration-tokens', { clusterName })).json,
    );
    const requests = Array.from({ length: keys }, () => makeRequest(ecPair()));
    const answers = await Promise.all(
      Array.from({ length: uses }, (_, index) =>
        api.post(
          '/v1/registrations',
          { clusterName, csr: requests[index % keys], cluster: facts },
          { token },
        ),
      ),
    );
    const made = answers.filter(({ status }) => status === 201);
    expect(new Set(made.map(({ text }) => text)).size).toBe(1);
    const codes = new Set(
      answers.filter(({ status }) => status !== 201).map(({ json }) => (json as { code: string }).code),
    );
    codes.delete('TOKEN_SPENT');
    codes.delete('CONFLICT');
    expect([...codes]).toEqual([]);
    // Only the attempts of one key can have got in.
    expect(made.length).toBeGreaterThan(0);
    expect(made.length).toBeLessThanOrEqual(uses / keys);

    const { json } = await api.get('/v1/clusters?limit=200');
    const { items } = json as { items: { clusterId: string; clusterName: string }[] };
    const clusters = items.filter((each) => each.clusterName === clusterName);
    expect(clusters.map(({ clusterId }) => clusterId)).toEqual([
      (made[0]?.json as { clusterId: string }).clusterId,
    ]);
  }, 90_000);
}
