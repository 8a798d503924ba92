import { createServer } from 'node:net';

export type PortName = 'api' | 'access' | 'tunnel';

/** What moves each port (printed when it is taken). */
export const portSettings = {
  api: { port: 8443, flag: '--api-port', variable: 'CATTERY_API_PORT' },
  access: { port: 9443, flag: '--access-port', variable: 'CATTERY_ACCESS_PORT' },
  tunnel: { port: 9000, flag: '--tunnel-port', variable: 'CATTERY_TUNNEL_PORT' },
} as const satisfies Record<PortName, { port: number; flag: string; variable: string }>;

/** Where the stack listens and what it tells others to dial. */
export type Addresses = {
  readonly listen: string;
  readonly advertise: string;
  readonly ports: Readonly<Record<PortName, number>>;
  readonly apiUrl: string;
  readonly accessUrl: string;
  /** host:port, as Guardian wants it. */
  readonly tunnelAddress: string;
};

export class PortTakenError extends Error {
  constructor(name: PortName, port: number, detail: string) {
    const { flag, variable } = portSettings[name];
    super(`Port ${port} (${name}) ${detail}. Move it with ${flag} PORT or ${variable}=PORT.`);
  }
}

/** Checks that each port can be listened on (0 picks a free one) and puts the addresses together. */
export async function claimAddresses(
  listen: string,
  advertise: string,
  wanted: Readonly<Record<PortName, number>>,
): Promise<Addresses> {
  const ports = { api: 0, access: 0, tunnel: 0 };
  for (const name of ['api', 'access', 'tunnel'] as const)
    ports[name] = await claim(name, listen, wanted[name]);
  const host = advertise.includes(':') ? `[${advertise}]` : advertise;
  return {
    listen,
    advertise,
    ports,
    apiUrl: `https://${host}:${ports.api}`,
    accessUrl: `https://${host}:${ports.access}`,
    tunnelAddress: `${host}:${ports.tunnel}`,
  };
}

/** After a SIGKILL of a stack its children need a moment to notice and to let go of their ports. */
const patienceMs = 3_000;

async function claim(name: PortName, host: string, port: number): Promise<number> {
  const until = Date.now() + patienceMs;
  for (;;) {
    const answer = await listenOnce(host, port);
    if (typeof answer === 'number') return answer;
    if (answer.code !== 'EADDRINUSE')
      throw new PortTakenError(name, port, `cannot be opened on ${host} (${answer.code ?? answer.message})`);
    if (Date.now() > until) throw new PortTakenError(name, port, 'is taken');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function listenOnce(host: string, port: number): Promise<number | NodeJS.ErrnoException> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : port));
    });
  });
}
