import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { hintName, makeCa } from '../../test/tunnel-fargate/certificates.ts';
import { PeerProcess } from './peer-process.ts';

/** What all contestants of a run share: the certificates, the sink in the cluster and the programs. */
export type Setting = {
  readonly directory: string;
  /** The name in the tunnel port's certificate. */
  readonly tunnelName: string;
  readonly rootsFile: string;
  /** Users show it on HTTPS. */
  readonly token: string;
  /** `host:port` */
  readonly sink: string;
  /** The Go program of bench/peers. */
  readonly peers: string;
  /** Undefined: it is not installed. */
  readonly rathole: string | undefined;
  /** How far agents are from their server, ms; 0: no relay is between them. */
  readonly roundTripMs: number;
  /** Of our servers: `--cpu-prof`, say. */
  readonly nodeFlags: readonly string[];
  close(): Promise<void>;
};

export const ratholePassword = 'bench';

type Programs = Pick<Setting, 'peers' | 'rathole' | 'nodeFlags'>;

export async function makeSetting({ peers, rathole, nodeFlags }: Programs): Promise<Setting> {
  const directory = await mkdtemp(path.join(tmpdir(), 'cattery-bench-'));
  const file = (name: string) => path.join(directory, name);
  const ca = await makeCa();
  await writeFile(file('roots.crt'), ca.certificate);
  for (const [name, names] of [
    ['tunnel', [hintName]],
    ['public', ['127.0.0.1']],
  ] as const) {
    const { certificate, key } = await ca.issue({ names, usage: 'server' });
    await writeFile(file(`${name}.crt`), certificate);
    await writeFile(file(`${name}.key`), key, { mode: 0o600 });
  }
  if (rathole !== undefined) {
    const given = ['pkcs12', '-export', '-in', file('tunnel.crt'), '-inkey', file('tunnel.key')];
    execFileSync('openssl', [...given, '-out', file('tunnel.p12'), '-passout', `pass:${ratholePassword}`]);
  }
  const sink = new PeerProcess(peers, ['sink']);
  const { address = '' } = await sink.event('listening');
  return {
    directory,
    tunnelName: hintName,
    rootsFile: file('roots.crt'),
    token: randomBytes(24).toString('base64url'),
    sink: address,
    peers,
    rathole,
    roundTripMs: 0,
    nodeFlags,
    close: async () => {
      await sink.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
