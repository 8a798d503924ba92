import { describe, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { parse } from 'yaml';
import { kubeconfig } from '../../../functions/install-assets/kubeconfig.ts';
import { clusterRecord, trust } from './deployment.ts';

type Config = {
  clusters: [{ name: string; cluster: Record<string, string> }];
  contexts: [{ name: string; context: { cluster: string; user: string } }];
  users: [
    {
      name: string;
      user: {
        token?: string;
        exec?: { command: string; args: string[]; apiVersion: string; interactiveMode: string };
      };
    },
  ];
  'current-context': string;
};

const cluster = clusterRecord('c-aaaaaaaaaaaaaaaaaaaa');
const made = (overrides: Partial<Parameters<typeof kubeconfig>[0]> = {}) =>
  parse(
    kubeconfig({
      cluster,
      accessUrl: 'https://access.example',
      roots: trust.roots,
      token: undefined,
      ...overrides,
    }),
  ) as Config;

describe('the kubeconfig', () => {
  test("leads to the cluster's path of the access host, in a context with the cluster's name", () => {
    const {
      clusters,
      contexts,
      users,
      'current-context': current,
    } = made({ accessUrl: 'https://access.example/' });
    expect(clusters[0].cluster.server).toBe('https://access.example/clusters/c-aaaaaaaaaaaaaaaaaaaa');
    expect([contexts[0].name, current]).toEqual(['shop-1', 'shop-1']);
    expect(contexts[0].context).toEqual({ cluster: clusters[0].name, user: users[0].name });
  });

  test("brings the deployment's roots, or leaves the verification to the system's", () => {
    const data = made().clusters[0].cluster['certificate-authority-data'] ?? '';
    expect(Buffer.from(data, 'base64').toString()).toBe(trust.roots);
    expect(made({ roots: undefined }).clusters[0].cluster).not.toHaveProperty('certificate-authority-data');
  });

  test('embeds a token where one is given, and nothing to execute', () => {
    expect(made({ token: 'cak_secret' }).users[0].user).toEqual({ token: 'cak_secret' });
  });

  test('by default takes the token from CATTERY_TOKEN through a plain shell', () => {
    const exec = made().users[0].user.exec;
    expect(exec).toMatchObject({ apiVersion: 'client.authentication.k8s.io/v1', interactiveMode: 'Never' });
    const run = (env: Record<string, string>) =>
      spawnSync(exec?.command ?? '', exec?.args, {
        encoding: 'utf8',
        env: { PATH: process.env.PATH ?? '', ...env },
      });
    expect(JSON.parse(String(run({ CATTERY_TOKEN: 'cak_%s$HOME`' }).stdout))).toEqual({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: 'cak_%s$HOME`' },
    });
    const without = run({});
    expect([without.status, without.stdout]).toEqual([1, '']);
    expect(without.stderr).toContain('CATTERY_TOKEN');
  });
});
