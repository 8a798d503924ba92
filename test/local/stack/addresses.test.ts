import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import {
  claimAddresses,
  PortTakenError,
  type PortName,
  type TryListen,
} from '../../../local/stack/addresses.ts';

const loopback = '127.0.0.1';
const anyPorts = { api: 0, access: 0, tunnel: 0 };

describe('claiming the addresses of the stack', () => {
  const servers: Server[] = [];
  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
  });

  async function occupied(port = 0): Promise<number> {
    const server = createServer();
    servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(port, loopback, resolve);
    });
    return (server.address() as AddressInfo).port;
  }

  test('port 0 finds free ports, three of them, which can be listened on afterwards', async () => {
    const { ports, apiUrl, accessUrl, tunnelAddress } = await claimAddresses(loopback, loopback, anyPorts);
    expect(new Set(Object.values(ports)).size).toBe(3);
    expect([apiUrl, accessUrl, tunnelAddress]).toEqual([
      `https://127.0.0.1:${ports.api}`,
      `https://127.0.0.1:${ports.access}`,
      `127.0.0.1:${ports.tunnel}`,
    ]);
    for (const port of Object.values(ports)) await occupied(port);
  });

  test('addresses tell the advertised host, an IPv6 address in brackets', async () => {
    const named = await claimAddresses(loopback, 'laptop.example', anyPorts);
    expect(named).toMatchObject({
      listen: loopback,
      advertise: 'laptop.example',
      apiUrl: `https://laptop.example:${named.ports.api}`,
    });
    const numbered = await claimAddresses(loopback, 'fd00::7', anyPorts);
    expect(numbered.tunnelAddress).toBe(`[fd00::7]:${numbered.ports.tunnel}`);
    expect(new URL(numbered.accessUrl).hostname).toBe('[fd00::7]');
  });

  test('a taken port is named, with the flag and the variable that move it', async () => {
    const port = await occupied();
    const claimed = claimAddresses(loopback, loopback, { ...anyPorts, access: port });
    await expect(claimed).rejects.toThrow(
      `Port ${port} (access) is taken. Move it with --access-port PORT or CATTERY_ACCESS_PORT=PORT.`,
    );
    await expect(claimed).rejects.toBeInstanceOf(PortTakenError);
  });

  test('a port that becomes free within 3 s is claimed: a killed stack lets go of it late', async () => {
    const port = await occupied();
    const claimed = claimAddresses(loopback, loopback, { ...anyPorts, tunnel: port });
    const [server] = servers.splice(0);
    setTimeout(() => server?.close(), 400);
    expect((await claimed).ports.tunnel).toBe(port);
  });

  test('one port for two is refused at once', async () => {
    const { ports } = await claimAddresses(loopback, loopback, anyPorts);
    const wanted = { api: ports.api, access: 0, tunnel: ports.api };
    await expect(claimAddresses(loopback, loopback, wanted)).rejects.toThrow(
      `Port ${ports.api} (tunnel) is the port of api, too. Move it with --tunnel-port PORT`,
    );
  });

  test.each([
    ['api', '--api-port', 'CATTERY_API_PORT'],
    ['access', '--access-port', 'CATTERY_ACCESS_PORT'],
    ['tunnel', '--tunnel-port', 'CATTERY_TUNNEL_PORT'],
  ] as const)(
    'a port that needs more rights says so, and what moves it: %s',
    async (name, flag, variable) => {
      const refuse: TryListen = (_host, port) =>
        port === 443
          ? Promise.resolve({ error: Object.assign(new Error('listen EACCES'), { code: 'EACCES' }) })
          : occupied().then(() => ({ server: servers.pop() ?? createServer() }));
      await expect(claimAddresses(loopback, loopback, { ...anyPorts, [name]: 443 }, refuse)).rejects.toThrow(
        `Port 443 (${name}) may not be opened by this user (EACCES). Move it with ${flag} PORT or ${variable}=PORT.`,
      );
    },
  );

  test('an address that this machine does not have is named, not the port', async () => {
    // 192.0.2.0/24 is for documentation (RFC 5737).
    await expect(claimAddresses('192.0.2.1', '192.0.2.1', anyPorts)).rejects.toThrow(
      '--listen 192.0.2.1: this machine cannot listen there (EADDRNOTAVAIL).',
    );
  });

  test('after a failure no port stays claimed', async () => {
    const { ports } = await claimAddresses(loopback, loopback, anyPorts);
    const names: PortName[] = ['api', 'access'];
    await expect(
      claimAddresses(loopback, loopback, { api: ports.api, access: ports.access, tunnel: ports.api }),
    ).rejects.toThrow(PortTakenError);
    for (const name of names) await occupied(ports[name]);
  });
});
