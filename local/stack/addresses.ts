import { createServer, type Server } from 'node:net';

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

/** A port that cannot be listened on; its message names the port and what moves it. */
export class PortTakenError extends Error {
  constructor(name: PortName, port: number, detail: string) {
    const { flag, variable } = portSettings[name];
    super(`Port ${port} (${name}) ${detail}. Move it with ${flag} PORT or ${variable}=PORT.`);
  }
}

/** A port held open, or why it cannot be. */
export type Attempt = { readonly server: Server } | { readonly error: NodeJS.ErrnoException };
export type TryListen = (host: string, port: number) => Promise<Attempt>;

/** After a SIGKILL of a stack its children need a moment to notice and to let go of their ports. */
const patienceMs = 3_000;

/**
 * Checks that each port can be listened on (0 picks a free one) and puts the addresses together. All three are held
 * until the last is found, so that they differ.
 */
export async function claimAddresses(
  listen: string,
  advertise: string,
  wanted: Readonly<Record<PortName, number>>,
  tryListen: TryListen = listenOnce,
): Promise<Addresses> {
  const held: Server[] = [];
  const ports = { api: 0, access: 0, tunnel: 0 };
  try {
    const until = Date.now() + patienceMs;
    for (const name of ['api', 'access', 'tunnel'] as const) {
      const same = (['api', 'access'] as const).find(
        (other) => other !== name && ports[other] === wanted[name],
      );
      if (same && wanted[name] !== 0)
        throw new PortTakenError(name, wanted[name], `is the port of ${same}, too`);
      const server = await claim(name, listen, wanted[name], until, tryListen);
      held.push(server);
      ports[name] = portOf(server);
    }
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
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

async function claim(
  name: PortName,
  host: string,
  port: number,
  until: number,
  tryListen: TryListen,
): Promise<Server> {
  for (;;) {
    const attempt = await tryListen(host, port);
    if ('server' in attempt) return attempt.server;
    const { code = attempt.error.message } = attempt.error;
    if (code === 'EACCES') throw new PortTakenError(name, port, `may not be opened by this user (${code})`);
    if (code !== 'EADDRINUSE')
      throw new Error(`--listen ${host}: this machine cannot listen there (${code}).`);
    if (Date.now() > until) throw new PortTakenError(name, port, 'is taken');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function listenOnce(host: string, port: number): Promise<Attempt> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve({ error }));
    server.listen({ host, port, exclusive: true }, () => resolve({ server }));
  });
}

function portOf(server: Server): number {
  const address = server.address();
  if (typeof address !== 'object' || !address) throw new Error('The server listens on no port.');
  return address.port;
}
