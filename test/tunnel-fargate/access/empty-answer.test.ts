import { once } from 'node:events';
import type { ClientHttp2Stream } from 'node:http2';
import { Duplex } from 'node:stream';
import { expect, test } from '@jest/globals';
import { clusterId, open, startCluster, startFixture } from './access-fixture.ts';

/**
 * A stream whose head and end come in one read: Node queues both events before it runs any promise. Seen through a
 * tunnel with `…/log?tailLines=0`, 6 of 131 times.
 */
class EmptyAnswer extends Duplex {
  readonly rstCode = 0;

  constructor(trailers?: Record<string, string>) {
    super({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
    this.end();
    setImmediate(() => {
      process.nextTick(() => this.emit('response', { ':status': 200, 'content-type': 'text/plain' }, 4));
      if (trailers) process.nextTick(() => this.emit('trailers', trailers));
      this.push(null);
      this.read(0);
    });
  }
}

test('an answer that has ended by the time its head is passed on ends for the client, too', async () => {
  const cluster = await startCluster(() => undefined);
  const link = {
    ...cluster.link,
    request: () => Promise.resolve(new EmptyAnswer() as unknown as ClientHttp2Stream),
  };
  const access = await startFixture({ ...cluster, link });
  try {
    for (const version of ['h1', 'h2'] as const) {
      const path = `/clusters/${clusterId}/api/v1/namespaces/shop/pods/a/log?tailLines=0`;
      const answer = await access[version](path, { token: 'viewer' });
      expect([answer.status, answer.text]).toEqual([200, '']);
    }
  } finally {
    await access.close();
    await cluster.close();
  }
});

test('trailers that are here by then reach the client', async () => {
  const cluster = await startCluster(() => undefined);
  const link = {
    ...cluster.link,
    request: () => Promise.resolve(new EmptyAnswer({ 'grpc-status': '5' }) as unknown as ClientHttp2Stream),
  };
  const access = await startFixture({ ...cluster, link });
  const session = access.session();
  try {
    const stream = open(session, `/clusters/${clusterId}/api/v1/pods`);
    const [trailers] = (await once(stream.resume(), 'trailers')) as [Record<string, string>];
    expect(trailers['grpc-status']).toBe('5');
  } finally {
    session.destroy();
    await access.close();
    await cluster.close();
  }
});
