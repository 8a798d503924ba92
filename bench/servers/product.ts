/** Started by `npm run bench`: the tunnel server as it is deployed, with a directory, a table and a bucket of memory in the place of AWS. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { pino } from 'pino';
import type { Caller } from '../../core/credential/caller.ts';
import { roleScopes } from '../../core/credential/scope.ts';
import { Problem } from '../../core/problem/problem.ts';
import { base32 } from '../../core/tenant/identifier.ts';
import { startAccess } from '../../tunnel-fargate/access/server.ts';
import { startServer } from '../../tunnel-fargate/server.ts';
import { endWithInput, readPair, tell } from './bench-server.ts';

const tenantId = 't-aaaaaaaaaaaaaaaaaaaa';
const day = 24 * 3_600_000;
const [, , directory = '', token = ''] = process.argv;

/** Any certificate is a cluster's, whose ID comes of it. */
const clusterIdOf = (fingerprint: string) =>
  `c-${base32(createHash('sha256').update(fingerprint).digest()).slice(0, 20)}`;

const owner: Caller = {
  kind: 'user',
  tenantId,
  principal: 'user:bench',
  scopes: new Set(roleScopes.owner),
  roles: ['owner'],
};
const facts = { kubernetesVersion: 'v1.33.2', calicoVersion: 'v3.32.1', distribution: 'bench', nodeCount: 1 };
const certificates = {
  tunnel: await readPair(directory, 'tunnel'),
  logEndpoint: await readPair(directory, 'tunnel'),
  access: await readPair(directory, 'public'),
  peer: await readPair(directory, 'tunnel'),
  roots: await readFile(`${directory}/roots.crt`, 'utf8'),
};
const done = () => Promise.resolve(true);
let agents = 0;

const server = await startServer(
  {
    certificates: { read: () => Promise.resolve({ versionId: '1', certificates }) },
    certificateDirectory: {
      find: (fingerprint) =>
        Promise.resolve({
          fingerprint,
          tenantId,
          clusterId: clusterIdOf(fingerprint),
          notAfter: Date.now() + day,
        }),
      revokedSince: () => Promise.resolve([]),
    },
    tunnelDirectory: {
      announce: ({ clusterId }) => {
        agents += 1;
        tell({ event: 'agent', count: agents, clusterId });
        return done();
      },
      withdraw: done,
      renewLease: () => Promise.resolve(),
      locate: () => Promise.resolve(undefined),
      lease: () => Promise.resolve(undefined),
    },
    accessRules: { all: () => Promise.resolve([]) },
    clusters: {
      find: (_tenantId, clusterId) =>
        Promise.resolve({
          clusterId,
          clusterName: 'bench',
          registeredAt: 0,
          facts,
          certificate: '',
          fingerprint: '',
          notAfter: Date.now() + day,
          tokenHash: '',
        }),
    },
    logs: { put: () => Promise.resolve() },
    audit: { put: () => Promise.resolve() },
    verify: (bearer) =>
      bearer === token ? Promise.resolve(owner) : Promise.reject(new Problem('UNAUTHENTICATED')),
    refresh: (caller) => Promise.resolve(caller),
    startAccess,
    // As much as in production, to nobody.
    logger: pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, createWriteStream('/dev/null')),
    taskId: 'bench',
    now: Date.now,
    random: Math.random,
  },
  {
    listen: { host: '127.0.0.1', tunnelPort: 0, accessPort: 0, healthPort: 0, metricsPort: 0 },
    // All agents and users of a run are one tenant's and come from one address.
    limits: {
      tunnels: 10_000,
      concurrentRequests: 10_000,
      requestsPerSecond: 1e9,
      requestBurst: 1e9,
      bytesPerSecond: 1e12,
      byteBurst: 1e12,
      clusterStreams: 10_000,
      clusterStreamsPerSecond: 1e9,
      clusterStreamBurst: 1e9,
    },
  },
);

endWithInput();
tell({
  event: 'listening',
  tunnel: `127.0.0.1:${server.ports.tunnel}`,
  public: `127.0.0.1:${server.ports.access}`,
  metrics: `127.0.0.1:${server.ports.metrics}`,
});
