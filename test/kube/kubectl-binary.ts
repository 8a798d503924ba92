import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, realpathSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';

export type KubectlBinary = { readonly file: string; /** `1.33` */ readonly version: string };

/** 33 of `1.33`. */
export const minorOf = ({ version }: KubectlBinary): number => Number(version.split('.')[1]);

const versionOutput = z.object({ clientVersion: z.object({ major: z.string(), minor: z.string() }) });

/** The kubectls of this machine, oldest first, one per minor version: on the PATH, and those that lie beside it as `kubectl.1.33`. */
export function kubectlBinaries(): KubectlBinary[] {
  const onPath = (process.env.PATH ?? '').split(path.delimiter).flatMap((folder) => {
    try {
      return [realpathSync(path.join(folder, 'kubectl'))];
    } catch {
      return [];
    }
  });
  const first = onPath.slice(0, 1);
  const beside = first.flatMap((file) => {
    const folder = path.dirname(file);
    return readdirSync(folder)
      .filter((name) => /^kubectl\.1\.\d+$/.test(name))
      .map((name) => path.join(folder, name));
  });
  const found = new Map<string, KubectlBinary>();
  for (const file of beside.length > 0 ? beside : first) {
    const { status, stdout } = spawnSync(file, ['version', '--client', '-o', 'json'], { encoding: 'utf8' });
    if (status !== 0) continue;
    const { major, minor } = versionOutput.parse(JSON.parse(stdout)).clientVersion;
    found.set(`${major}.${minor}`, { file, version: `${major}.${minor.replace(/\D/g, '')}` });
  }
  return [...found.values()].sort((one, other) => minorOf(one) - minorOf(other));
}

export type Outcome = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** Runs a command to its end; `input`: its standard input. */
export function call(
  file: string,
  given: readonly string[],
  {
    home,
    environment,
    input,
  }: { home: string; environment: Readonly<Record<string, string>>; input?: string },
): Promise<Outcome> {
  const child = spawn(file, given, {
    cwd: home,
    env: { PATH: process.env.PATH, HOME: home, ...environment },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })));
}
