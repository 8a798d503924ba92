import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type Access, type Cluster, clusterId, startCluster, startFixture, until } from './access-fixture.ts';

const pods = `/clusters/${clusterId}/api/v1/pods`;

let cluster: Cluster;
let access: Access;
let client: TLSSocket;
let answered = 0;

beforeEach(async () => {
  answered = 0;
  cluster = await startCluster((stream, headers) => {
    stream.resume();
    stream.once('close', () => (answered += 1));
    stream.respond({ ':status': 200 });
    if (!String(headers[':path']).includes('watch')) stream.end('{"kind":"PodList"}');
  });
  access = await startFixture(cluster);
  client = connect({
    port: access.port,
    host: '127.0.0.1',
    ca: access.ca.certificate,
    ALPNProtocols: ['http/1.1'],
  });
  client.on('error', () => undefined);
  await once(client, 'secureConnect');
});
afterEach(async () => {
  client.destroy();
  await access.close();
  await cluster.close();
});

const head = (target: string, more = '') =>
  `GET ${target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer editor\r\n${more}\r\n`;
const post = (target: string, body: string) =>
  head(target, `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`).replace(
    'GET',
    'POST',
  ) + body;

test.each([
  ['GET', head(pods)],
  ['POST', post(pods, '{}')],
])(
  'a %s that waits behind a watch on its connection ends when the client leaves',
  async (_method, second) => {
    client.write(head(`${pods}?watch=true`));
    await until(() => cluster.seen.length === 1);
    client.write(second);
    await until(() => answered === 1);
    expect(access.server.inFlight).toBe(2);
    client.destroy();
    await until(() => access.server.inFlight === 0);
    expect(access.trail.bytes).toBeLessThan(2_048);
  },
);

test('answers on one connection come in the order of their requests, and all of them end', async () => {
  let text = '';
  client.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  client.write(Array.from({ length: 30 }, (_, at) => head(`${pods}?limit=${at + 1}`)).join(''));
  await until(() => text.split('PodList').length === 31);
  await until(() => access.server.inFlight === 0);
  expect(cluster.seen).toHaveLength(30);
  expect(client.destroyed).toBe(false);
});
