import { once } from 'node:events';
import { connect } from 'node:tls';
import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { TunnelServer } from '../../../tunnel-fargate/agent/tunnel-server.ts';
import { Tunnels } from '../../../tunnel-fargate/agent/tunnels.ts';
import { WindowMemory } from '../../../tunnel-fargate/agent/window-memory.ts';
import { makeCa } from '../certificates.ts';

test('a mistake of ours in one handshake is logged, cuts that connection and leaves the port open', async () => {
  const ca = await makeCa();
  const pair = await ca.issue({ names: ['localhost'], usage: 'server' });
  const lines: string[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(line) });
  const server = new TunnelServer({
    listen: { host: '127.0.0.1', port: 0 },
    certificate: pair,
    identify: () => Promise.reject(new Error('nobody thought of this')),
    tunnels: new Tunnels({ logger, now: Date.now, announce: () => ({ withdraw: () => Promise.resolve() }) }),
    limits: { admitsTunnel: () => true },
    windowMemory: new WindowMemory(),
    onStream: () => undefined,
    logger,
    now: Date.now,
  });
  const port = await server.listen();
  try {
    for (let time = 1; time <= 2; time += 1) {
      const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
      client.on('error', () => undefined);
      client.resume();
      await once(client, 'close');
      expect(lines.filter((line) => line.includes('nobody thought of this'))).toHaveLength(time);
    }
    expect(server.handshakesInFlight).toBe(0);
  } finally {
    await server.close();
  }
});
