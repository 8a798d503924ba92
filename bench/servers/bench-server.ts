import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { AddressInfo, Server } from 'node:net';
import type { KeyPair } from '../../tunnel-fargate/agent/tls-acceptance.ts';

/** What the bench has put there for servers to present. */
export async function readPair(directory: string, name: 'tunnel' | 'public'): Promise<KeyPair> {
  const read = (extension: string) => readFile(`${directory}/${name}.${extension}`, 'utf8');
  return { certificate: await read('crt'), key: await read('key') };
}

/** One JSON line, as the Go peers print. */
export function tell(event: Readonly<Record<string, string | number>>): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

/** The bench ends its servers so; one whose bench died must not live on. */
export function endWithInput(): void {
  process.stdin.resume().once('end', () => process.exit(0));
}

export async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
