import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { listen } from '../servers/bench-server.ts';
import { entrypointFlags } from './entrypoint-flags.ts';
import { PeerProcess } from './peer-process.ts';
import { type Rig, rigOf } from './rig.ts';
import { ratholePassword, type Setting } from './setting.ts';

export type Contestant = {
  /** As in results and tables. */
  readonly name: string;
  /** Why it cannot take part here, in words; undefined when it can. */
  absent(setting: Setting): string | undefined;
  start(setting: Setting): Promise<Rig>;
  /** Starts the server alone, for agents that come in numbers; undefined: it has no such agents. */
  readonly startServer?: (
    setting: Setting,
  ) => Promise<{ server: PeerProcess; tunnel: string; public: string }>;
};

type AgentMode = 'tcp' | 'http' | 'https';

const present = () => undefined;

/** An agent of bench/peers, with a relay in between that holds all bytes back when it is to be far away. */
async function startAgent(setting: Setting, mode: AgentMode, tunnel: string): Promise<PeerProcess[]> {
  const { peers, sink, roundTripMs } = setting;
  const start = (to: string) =>
    new PeerProcess(peers, ['agent', `-mode=${mode}`, `-sink=${sink}`, ...tunnelFlags(setting, to)]);
  if (roundTripMs === 0) return [start(tunnel)];
  const relay = new PeerProcess(peers, ['delay', `-to=${tunnel}`, `-round-trip=${roundTripMs}ms`]);
  const { address = '' } = await relay.event('listening');
  return [relay, start(address)];
}

/** Where agents of bench/peers dial, and what they trust there. */
export const tunnelFlags = ({ rootsFile, tunnelName }: Setting, tunnel: string): string[] => [
  `-tunnel=${tunnel}`,
  `-trust=${rootsFile}`,
  `-name=${tunnelName}`,
];

async function started(server: PeerProcess) {
  const { tunnel, public: user } = await server.event('listening');
  if (tunnel === undefined || user === undefined) throw new Error('a server told no address');
  return { server, tunnel, public: user };
}

const httpsTarget = ({ rootsFile, token }: Setting, user: string, clusterId: string) => ({
  target: `https://${user}/clusters/${clusterId}`,
  roots: rootsFile,
  token,
});

function goRelay(
  name: string,
  { mode, inner }: { mode: 'tcp' | 'request' | 'pooled'; inner: 'tls' | 'plain' },
): Contestant {
  const startServer = ({ peers, directory }: Setting) => {
    const file = (of: string) => path.join(directory, of);
    return started(
      new PeerProcess(peers, [
        'relay',
        `-mode=${mode}`,
        `-inner=${inner}`,
        `-tunnel-certificate=${file('tunnel.crt')}`,
        `-tunnel-key=${file('tunnel.key')}`,
        `-public-certificate=${file('public.crt')}`,
        `-public-key=${file('public.key')}`,
      ]),
    );
  };
  return {
    name,
    absent: present,
    startServer,
    async start(setting) {
      const { server, tunnel, public: user } = await startServer(setting);
      const agentMode = mode === 'tcp' ? 'tcp' : inner === 'tls' ? 'https' : 'http';
      const agent = await startAgent(setting, agentMode, tunnel);
      await server.event('agent');
      const target = mode === 'tcp' ? { target: user } : httpsTarget(setting, user, 'bench');
      return rigOf(setting, { processes: [server, ...agent], target });
    },
  };
}

/** What pass-through is compared with. */
export const goTcp = goRelay('Go relay, TCP', { mode: 'tcp', inner: 'plain' });

/** What HTTPS is compared with: as Guardian's h1 allows one request per stream, each pays a handshake inside. */
export const goRequest = goRelay('Go relay, HTTPS, stream per request', {
  mode: 'request',
  inner: 'tls',
});

/** The same without the inner TLS that Guardian asks for. */
export const goPlainRequest = goRelay('Go relay, HTTPS, stream per request, no inner TLS', {
  mode: 'request',
  inner: 'plain',
});

/** Streams kept for further requests: over TLS no Guardian serves a second one, so there is none inside. */
export const goPooled = goRelay('Go relay, HTTPS, pooled streams, no inner TLS', {
  mode: 'pooled',
  inner: 'plain',
});

/** With the flags of the image. */
async function nodeServer(file: string, setting: Setting, ...given: string[]) {
  const dockerfile = path.join(import.meta.dirname, '../../tunnel-fargate/Dockerfile');
  return started(
    new PeerProcess(process.execPath, [
      ...entrypointFlags(await readFile(dockerfile, 'utf8')),
      ...setting.nodeFlags,
      path.join(import.meta.dirname, '../servers', file),
      setting.directory,
      ...given,
    ]),
  );
}

export const catteryTcp: Contestant = {
  name: 'Cattery, pass-through',
  absent: present,
  async start(setting) {
    const { server, tunnel, public: user } = await nodeServer('pass-through.ts', setting);
    const agent = await startAgent(setting, 'tcp', tunnel);
    await server.event('agent');
    return rigOf(setting, { processes: [server, ...agent], target: { target: user } });
  },
};

export const cattery: Contestant = {
  name: 'Cattery, access',
  absent: present,
  startServer: (setting) => nodeServer('product.ts', setting, setting.token),
  async start(setting) {
    const { server, tunnel, public: user } = await nodeServer('product.ts', setting, setting.token);
    const agent = await startAgent(setting, 'https', tunnel);
    const { clusterId = '' } = await server.event('agent');
    return rigOf(setting, { processes: [server, ...agent], target: httpsTarget(setting, user, clusterId) });
  },
};

/** Over TLS as the others; it has no mux: each connection of a user's takes a TLS connection of its own (from a pool). */
export const rathole: Contestant = {
  name: 'rathole',
  absent: (setting) =>
    setting.rathole === undefined ? 'rathole is not installed: `npm run bench:peers`, with cargo' : undefined,
  async start(setting) {
    const { directory, rathole: program = '', tunnelName, rootsFile, sink, token } = setting;
    const [tunnel, user] = [await freeAddress(), await freeAddress()];
    const configured = async (name: string, text: string) => {
      const file = path.join(directory, name);
      await writeFile(file, text, { mode: 0o600 });
      return file;
    };
    const server = new PeerProcess(program, [
      '--server',
      await configured(
        'rathole-server.toml',
        `[server]
bind_addr = "${tunnel}"
[server.transport]
type = "tls"
[server.transport.tls]
pkcs12 = "${path.join(directory, 'tunnel.p12')}"
pkcs12_password = "${ratholePassword}"
[server.services.bench]
token = "${token}"
bind_addr = "${user}"
`,
      ),
    ]);
    const agent = new PeerProcess(program, [
      '--client',
      await configured(
        'rathole-client.toml',
        `[client]
remote_addr = "${tunnel}"
[client.transport]
type = "tls"
[client.transport.tls]
trusted_root = "${rootsFile}"
hostname = "${tunnelName}"
[client.services.bench]
token = "${token}"
local_addr = "${sink}"
`,
      ),
    ]);
    const rig = rigOf(setting, { processes: [server, agent], target: { target: user } });
    await answering(() => rig.load({ work: 'connect', length: '1ms', message: 1 }));
    return rig;
  },
};

/** rathole does not tell which port it got, so it is given one that was free a moment ago. */
async function freeAddress(): Promise<string> {
  const server = createServer();
  const address = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return address;
}

async function answering(ask: () => Promise<unknown>): Promise<void> {
  const until = performance.now() + 15_000;
  for (;;) {
    try {
      await ask();
      return;
    } catch (error) {
      if (performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
