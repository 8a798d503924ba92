import { fork } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { transform } from 'esbuild';
import { bundleAll } from '../../lib/bundle.ts';
import type { Used } from './measured-process.ts';

/** What lib/image-scan.ts gives the function: seconds, of each kind since it has one CPU, and MB. */
export const functionLimits = { seconds: 25, megabytes: 1_769 };

/** Does one work in a new process; rejects when that ends without telling what it used. */
export type ScanFunction = {
  /** JSON.parse of a file, and nothing else. */
  readonly parse: (file: string) => Promise<Used>;
  /** The bundle of image-scan, given the event in a file. */
  readonly take: (file: string) => Promise<Used>;
};

/** Bundles image-scan into `directory`, to be started with `environment` and nothing else around it. */
export async function scanFunction(
  directory: string,
  environment: Readonly<Record<string, string>>,
): Promise<ScanFunction> {
  const { bundles } = await bundleAll(path.join(directory, 'bundles'));
  const bundle = bundles.find(({ name }) => name === 'image-scan');
  if (!bundle) throw new Error('There is no function image-scan.');
  const handler = pathToFileURL(path.join(bundle.directory, 'index.mjs')).href;
  const program = path.join(directory, 'process.mjs');
  // Types are taken out here, not in the process that is measured.
  const source = await readFile(new URL('./measured-process.ts', import.meta.url), 'utf8');
  await writeFile(program, (await transform(source, { loader: 'ts' })).code);
  return {
    parse: (file) => once(program, ['parse', file], {}),
    take: (file) => once(program, ['function', file, handler], environment),
  };
}

function once(
  program: string,
  words: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Used> {
  return new Promise((resolve, reject) => {
    const child = fork(program, [...words], {
      env: { ...env },
      // Node gets it as Lambda would tell it.
      execArgv: [`--max-old-space-size=${functionLimits.megabytes}`],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    child.once('message', (used) => resolve(used as Used));
    child.once('error', reject);
    // After a message this changes nothing.
    child.once('exit', (code, signal) =>
      reject(new Error(`The process ended with ${code ?? signal} and told nothing.`)),
    );
  });
}
