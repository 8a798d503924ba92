import type { WriteStream } from 'node:fs';
import { SupervisedProcess } from '../process/supervised-process.ts';
import type { ContainerSpec } from '../template/compute.ts';
import type { Addresses } from './addresses.ts';
import { freePort } from './free-port.ts';

type Options = {
  readonly spec: ContainerSpec;
  readonly addresses: Addresses;
  readonly platformEnvironment: Readonly<Record<string, string>>;
  readonly log: WriteStream;
  readonly stopTimeoutMs: number;
  readonly onExit: (detail: string) => void;
};

export type LocalContainer = {
  readonly process: SupervisedProcess;
  /** Resolves when the health check passes; rejects after a minute. */
  ready(): Promise<void>;
};

const readyWithinMs = 60_000;

/** Runs the tunnel server's bundle with the task definition's environment; ports are mapped as a container engine would. */
export async function startContainer({
  spec,
  addresses,
  platformEnvironment,
  log,
  stopTimeoutMs,
  onExit,
}: Options): Promise<LocalContainer> {
  const healthPort = await freePort();
  const supervised = new SupervisedProcess({
    name: 'The tunnel server',
    file: spec.bundle,
    environment: {
      ...spec.environment,
      ...platformEnvironment,
      LISTEN_ADDRESS: addresses.listen,
      TUNNEL_PORT: String(addresses.ports.tunnel),
      ACCESS_PORT: String(addresses.ports.access),
      HEALTH_PORT: String(healthPort),
      // Any free one; the server's log says which.
      METRICS_PORT: '0',
    },
    memoryMb: spec.memoryMb,
    log,
    stopTimeoutMs,
    onExit,
  });
  return {
    process: supervised,
    async ready() {
      const until = Date.now() + readyWithinMs;
      while (!(await healthy(healthPort, addresses.listen))) {
        if (Date.now() > until)
          throw new Error(`The tunnel server is not ready; ${String(log.path)} says why.`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
  };
}

async function healthy(port: number, listen: string): Promise<boolean> {
  const host = listen === '0.0.0.0' || listen === '::' ? '127.0.0.1' : listen;
  try {
    const answer = await fetch(`http://${host.includes(':') ? `[${host}]` : host}:${port}/ready`, {
      signal: AbortSignal.timeout(1_000),
    });
    await answer.arrayBuffer();
    return answer.ok;
  } catch {
    return false;
  }
}
