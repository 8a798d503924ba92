import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as z from 'zod';

const ready = z.object({
  url: z.url(),
  ca: z.string(),
  kubeconfig: z.string(),
  parts: z.record(z.string(), z.number()),
});

/** A real Kubernetes API on loopback; its pods run nothing, KWOK only says that they do. */
export type Kube = {
  readonly url: string;
  /** PEM. */
  readonly ca: string;
  /** A file, for a member of system:masters. */
  readonly kubeconfig: string;
  close(): Promise<void>;
};

/** Starts it, in about 10 s. `forwardPort`: where port-forwards to its pods lead, on loopback. Rejects with what its parts log when one ends. */
export async function startKube({ forwardPort = 0 }: { forwardPort?: number } = {}): Promise<Kube> {
  const binary = process.env.KUBE_BINARY;
  if (binary === undefined) throw new Error('These tests run by: npm run test:kube');
  const dir = await mkdtemp(path.join(tmpdir(), 'cattery-kube-'));
  const child = spawn(binary, ['up', '-dir', dir, '-forward', String(forwardPort)]);
  const exit = once(child, 'exit');
  const close = async () => {
    child.stdin.end();
    await exit;
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const { url, ca, kubeconfig } = ready.parse(JSON.parse(await firstLine(child)));
    return { url, ca: await readFile(ca, 'utf8'), kubeconfig, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function firstLine(child: ChildProcessWithoutNullStreams): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (output.includes('\n')) resolve(output);
    });
    child.once('exit', () => reject(new Error(`The Kubernetes API did not start: ${complaint}`)));
  });
}
