import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectH2 } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Caller } from '../../core/credential/caller.ts';
import { roleScopes } from '../../core/credential/scope.ts';
import { Problem } from '../../core/problem/problem.ts';
import { startAccess } from '../../tunnel-fargate/access/server.ts';
import { recordsOf } from './audit/audit-fixture.ts';
import { TestGuardian } from './guardian.ts';
import { clusterA, closing, type Fixture, startTunnel, tenantA, until } from './tunnel-fixture.ts';

const editor: Caller = {
  kind: 'user',
  tenantId: tenantA,
  principal: 'user:ann',
  scopes: new Set(roleScopes.editor),
  roles: ['editor'],
};
const pods = `/clusters/${clusterA}/api/v1/namespaces/default/pods`;

/** The whole server with its own timing, a Guardian behind it, and an open watch and an open exec of a user. */
describe('a revocation', () => {
  let tunnel: Fixture;
  let guardian: TestGuardian;
  let session: ClientHttp2Session;
  let member = true;
  let watch: ClientHttp2Stream;
  let exec: Duplex;
  let pair: Awaited<ReturnType<Fixture['register']>>;

  beforeEach(async () => {
    member = true;
    const still = () => (member ? Promise.resolve(editor) : Promise.reject(new Problem('NOT_A_MEMBER')));
    tunnel = await startTunnel({
      revocationPollMs: 2_000,
      dependencies: {
        startAccess,
        verify: still,
        refresh: still,
        clusters: {
          find: () =>
            Promise.resolve({
              clusterId: clusterA,
              clusterName: 'one',
              registeredAt: 0,
              facts: {
                kubernetesVersion: 'v1.33.5',
                calicoVersion: 'v3.32.1',
                distribution: 'test',
                nodeCount: 1,
              },
              certificate: '',
              fingerprint: '',
              notAfter: 0,
              tokenHash: '',
            }),
        },
      },
    });
    pair = await tunnel.register();
    guardian = await TestGuardian.connect({
      port: tunnel.port,
      roots: tunnel.roots,
      pair,
      serve: (stream, headers) => {
        const review = headers[':path']?.includes('selfsubjectaccessreviews') === true;
        stream.respond({ ':status': review ? 201 : 200, 'content-type': 'application/json' });
        if (review) stream.end('{"kind":"SelfSubjectAccessReview","status":{"allowed":true}}');
        else stream.write('{"type":"ADDED"}\n');
      },
      upgrade: (_request, socket) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
        socket.write('shell$ ');
      },
    });
    await tunnel.link();

    const port = tunnel.server.ports.access;
    const to = { host: '127.0.0.1', port, ca: tunnel.roots, rejectUnauthorized: false };
    session = connectH2(`https://127.0.0.1:${port}`, to);
    session.on('error', () => undefined);
    watch = session.request({ ':path': `${pods}?watch=true`, authorization: 'Bearer ann' });
    watch.on('error', () => undefined);
    await once(watch, 'data');
    watch.resume();

    const upgrading = httpsRequest({
      ...to,
      path: `${pods}/web/exec?command=sh&stdin=true`,
      headers: {
        authorization: 'Bearer ann',
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': Buffer.alloc(16).toString('base64'),
      },
    }).end();
    const [, socket, head] = (await once(upgrading, 'upgrade')) as [IncomingMessage, Duplex, Buffer];
    exec = socket;
    exec.on('error', () => undefined);
    if (head.length === 0) await once(exec, 'data');
    exec.resume();
  });
  afterEach(async () => {
    session.destroy();
    exec.destroy();
    await guardian.close();
    await tunnel.close();
  });

  test('of a membership ends the user’s watch and exec within 5 s, and the trail says revoked', async () => {
    const since = Date.now();
    member = false;
    await Promise.all([closing(watch), once(exec, 'end')]);
    expect(Date.now() - since).toBeLessThan(5_000);
    // The tunnel itself is not the user's.
    expect(guardian.session.closed).toBe(false);
    const ends = () => recordsOf(tunnel.audit.objects).filter(({ phase }) => phase === 'end');
    await until(() => ends().length === 2);
    expect(ends().map(({ verb, outcome }) => [verb, outcome])).toEqual(
      expect.arrayContaining([
        ['watch', 'revoked'],
        ['connect', 'revoked'],
      ]),
    );
  }, 20_000);

  test('of a cluster ends its tunnel and all that runs through it within 5 s', async () => {
    const since = Date.now();
    tunnel.directory.revoke(pair);
    await Promise.all([closing(watch), closing(exec), guardian.ended]);
    expect(Date.now() - since).toBeLessThan(5_000);
    expect(tunnel.closed()).toEqual(['CERTIFICATE_REVOKED']);
    // What was broken off does not look as if it had come to its end.
    expect(watch.rstCode).not.toBe(0);
    const ends = () => recordsOf(tunnel.audit.objects).filter(({ phase }) => phase === 'end');
    await until(() => ends().length === 2);
    expect(ends().find(({ verb }) => verb === 'watch')).toMatchObject({ outcome: 'cut' });
  }, 20_000);
});
