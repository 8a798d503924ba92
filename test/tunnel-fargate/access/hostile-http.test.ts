import { once } from 'node:events';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { makeCa } from '../certificates.ts';
import { startAccess } from '../../../tunnel-fargate/access/server.ts';
import {
  type Access,
  type Cluster,
  clusterId,
  echo,
  jsonOf,
  startCluster,
  startFixture,
  until,
  unused,
} from './access-fixture.ts';

const pods = `/clusters/${clusterId}/api/v1/pods`;
let cluster: Cluster;
let access: Access;
beforeAll(async () => {
  cluster = await startCluster(echo);
  access = await startFixture(cluster, {
    timing: { headersTimeoutMs: 200, firstRequestMs: 200, handshakeTimeoutMs: 2_000 },
  });
});
afterAll(async () => {
  await access.close();
  await cluster.close();
});

const socketTo = async (options = {}) => {
  const socket = connect({ host: '127.0.0.1', port: access.port, ca: access.ca.certificate, ...options });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  return socket;
};

/** Sends bytes over HTTP/1.1 and gives all that comes until the server closes. */
async function raw(text: string): Promise<string> {
  const socket = await socketTo({ ALPNProtocols: ['http/1.1'] });
  let answer = '';
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
  socket.write(text);
  await once(socket, 'close');
  return answer;
}
const head = (...lines: string[]) =>
  [`POST ${pods} HTTP/1.1`, 'Host: x', 'Authorization: Bearer editor', ...lines].join('\r\n');

describe('HTTP/1.1 that two readers may cut differently', () => {
  test.each([
    ['Content-Length beside Transfer-Encoding', head('Content-Length: 4', 'Transfer-Encoding: chunked')],
    ['Transfer-Encoding beside Content-Length', head('Transfer-Encoding: chunked', 'Content-Length: 4')],
    ['two Content-Lengths', head('Content-Length: 4', 'Content-Length: 5')],
    ['a Content-Length that is no number', head('Content-Length: +4')],
    ['an unknown coding before chunked', head('Transfer-Encoding: xchunked')],
    ['a space before the colon', head('Content-Length : 4')],
    ['a folded header', head('X-A: b', ' Content-Length: 4')],
    ['what is not HTTP', 'hello'],
  ])('is refused with 400 and the connection closed: %s', async (_, text) => {
    const before = cluster.seen.length;
    const answer = await raw(`${text}\r\n\r\n0\r\n\r\nGET ${pods} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    expect(cluster.seen.length).toBe(before);
  });

  test('two Authorization headers are refused rather than one of them chosen', async () => {
    const answer = await raw(`${head('Authorization: Bearer viewer', 'Connection: close')}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 401 [\s\S]*UNAUTHENTICATED/);
  });

  test('a request without Host is refused with 400', async () => {
    expect(await raw(`GET ${pods} HTTP/1.1\r\nAuthorization: Bearer editor\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 400 /,
    );
  });

  test('a bare CONNECT is refused with 405', async () => {
    expect(await raw('CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 405 /,
    );
  });

  test('the absolute form of a target is refused with 400', async () => {
    const answer = await raw(`GET https://x${pods} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 400 [\s\S]*INVALID_REQUEST/);
  });
});

describe('limits', () => {
  test.each(['h1', 'h2'] as const)(
    'a target beyond its limit is 431 HEADERS_TOO_LARGE over %s',
    async (way) => {
      const answer = await access[way](`${pods}?x=${'y'.repeat(9_000)}`);
      expect([answer.status, jsonOf(answer).code]).toEqual([431, 'HEADERS_TOO_LARGE']);
    },
  );

  test.each(['h1', 'h2'] as const)(
    'a head beyond its limit is 431 HEADERS_TOO_LARGE over %s',
    async (way) => {
      const answer = await access[way](pods, { headers: { 'x-large': 'y'.repeat(34_000) } });
      expect([answer.status, jsonOf(answer).code]).toEqual([431, 'HEADERS_TOO_LARGE']);
    },
  );

  test('a head that no parser keeps is 431 too', async () => {
    const answer = await raw(`${head(`X-Large: ${'y'.repeat(100_000)}`)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 [\s\S]*HEADERS_TOO_LARGE/);
  });

  test('a head that does not end is cut off', async () => {
    const socket = await socketTo({ ALPNProtocols: ['http/1.1'] });
    socket.write(head('X-Slow: '));
    socket.resume();
    await once(socket, 'close');
  });

  test('an HTTP/1.1 connection that asks nothing is cut off', async () => {
    const socket = await socketTo({ ALPNProtocols: ['http/1.1'] });
    socket.resume();
    await once(socket, 'close');
  });

  test('an HTTP/2 connection that asks nothing is cut off', async () => {
    const session = access.session();
    await once(session, 'close');
  });
});

describe('TLS', () => {
  test('1.2 and 1.3 are spoken, 1.1 is not', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const socket = await socketTo({ minVersion: version, maxVersion: version });
      expect(socket.getProtocol()).toBe(version);
      socket.destroy();
    }
    const old = connect({
      host: '127.0.0.1',
      port: access.port,
      ca: access.ca.certificate,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    const [error] = (await once(old, 'error')) as [Error];
    expect(error.message).toMatch(/protocol version|unsupported protocol|no protocols available/i);
  });

  test('a new certificate is presented after reloadTls, and open connections live on', async () => {
    const ca = await makeCa();
    const [first, second] = await Promise.all([
      ca.issue({ names: ['127.0.0.1'] }),
      ca.issue({ names: ['127.0.0.1'] }),
    ]);
    let current = first;
    const server = await startAccess({
      tls: () => ({ cert: current.certificate, key: current.key }),
      listen: { host: '127.0.0.1', port: 0 },
      verify: () => Promise.reject(new Error('not asked')),
      clusters: { find: () => Promise.resolve(undefined) },
      router: { route: () => Promise.resolve({ kind: 'absent', since: undefined }) },
      ...unused,
      logger: { info: () => undefined, error: () => undefined },
    });
    const presented = async () => {
      const socket = connect({ host: '127.0.0.1', port: server.port, ca: ca.certificate });
      await once(socket, 'secureConnect');
      const print = socket.getPeerCertificate().fingerprint256.replaceAll(':', '').toLowerCase();
      return { socket, print };
    };
    const before = await presented();
    expect(before.print).toBe(first.fingerprint);
    current = second;
    server.reloadTls();
    const after = await presented();
    expect(after.print).toBe(second.fingerprint);
    let answer = '';
    before.socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    before.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => answer.startsWith('HTTP/1.1 404 '));
    before.socket.destroy();
    after.socket.destroy();
    await server.close();
  });
});
