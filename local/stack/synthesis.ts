import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

/** Runs the CDK app as `cdk synth` does (same context, `CDK_OUTDIR`), without the toolkit: it saves seconds at each start. */
export async function synthesise(outdir: string, context: Readonly<Record<string, string>>): Promise<void> {
  const { context: committed = {} } = JSON.parse(await readFile(path.join(root, 'cdk.json'), 'utf8')) as {
    context?: object;
  };
  const child = spawn(process.execPath, [path.join(root, 'bin/cattery.ts')], {
    cwd: root,
    env: {
      ...process.env,
      CDK_OUTDIR: outdir,
      // Asset metadata says which resource runs which bundle; the toolkit asks for it, too.
      CDK_CONTEXT_JSON: JSON.stringify({ ...committed, ...context, 'aws:cdk:enable-asset-metadata': true }),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`The CDK app failed:\n${output.trim()}`);
}
