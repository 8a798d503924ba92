import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer, type Server } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ByteBudget } from '../../../tunnel-fargate/ingest/byte-budget.ts';
import { FlowIngest } from '../../../tunnel-fargate/ingest/flow-ingest.ts';
import { LogEndpoint } from '../../../tunnel-fargate/ingest/log-endpoint.ts';
import { logEndpointName, makeCa } from '../certificates.ts';
import { clusterA, closing, FakeLogs, recordingLogger, tenantA, until } from '../tunnel-fixture.ts';

const head =
  'POST /api/v1/flows/bulk HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100\r\n\r\n';

describe('a stream that a cluster leaves hanging', () => {
  let endpoint: LogEndpoint;
  let budget: ByteBudget;
  let roots: string;
  let server: Server;
  const timeoutMs = 60;

  beforeEach(async () => {
    const ca = await makeCa();
    roots = ca.certificate;
    budget = new ByteBudget({ totalBytes: 1_000_000, clusterBytes: 1_000_000 });
    const { logger } = recordingLogger();
    endpoint = new LogEndpoint({
      certificate: await ca.issue({ names: [logEndpointName] }),
      ingest: new FlowIngest({ logs: new FakeLogs(), budget, logger, now: Date.now }),
      logger,
      headTimeoutMs: 10 * timeoutMs,
      handshakeTimeoutMs: timeoutMs,
      stallTimeoutMs: timeoutMs,
    });
    // The endpoint takes any Duplex; here a socket instead of a mux stream.
    server = createServer((socket) => endpoint.accept(socket, { tenantId: tenantA, clusterId: clusterA }));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(() => void server.close());

  const tcp = () =>
    connectTcp((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
  const tls = async () => {
    const socket = connectTls({ socket: tcp(), servername: logEndpointName, ca: roots });
    socket.on('error', () => undefined);
    await once(socket, 'secureConnect');
    return socket;
  };

  test('before the handshake is cut after the timeout', async () => {
    await closing(tcp().resume());
  });

  test('before the request is cut after the timeout', async () => {
    await closing((await tls()).resume());
  });

  test('in the head of a request is cut after the timeout', async () => {
    const socket = (await tls()).resume();
    socket.write(head.slice(0, 30));
    await closing(socket);
  });

  test('in the body is cut after the timeout, and its memory comes back', async () => {
    const socket = (await tls()).resume();
    socket.write(`${head}{`);
    await until(() => budget.inUse > 0);
    await closing(socket);
    await until(() => budget.inUse === 0);
  });

  test('with a head that trickles is cut after the time for a head, though bytes keep coming', async () => {
    const socket = (await tls()).resume();
    socket.write(`${head.slice(0, -4)}\r\nX-Long: `);
    const trickle = setInterval(() => socket.write('x'), timeoutMs / 4);
    const began = Date.now();
    await closing(socket);
    clearInterval(trickle);
    expect(Date.now() - began).toBeGreaterThan(5 * timeoutMs);
  });

  test('after bytes that are no HTTP is answered 400 and cut', async () => {
    const socket = await tls();
    socket.write('\0\0\0\r\n\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 400 /);
    await closing(socket);
  });
});
