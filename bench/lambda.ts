/** `npm run bench:lambda`: size of each Lambda's bundle and the time of its import in a fresh Node process; fails when a size or a median is above its limit. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as z from 'zod';
import { bundleAll, functionRoles } from '../lib/bundle.ts';

const limits = { kilobytes: 900, milliseconds: 250 };
const runs = 9;

const { bundles } = await bundleAll();
const roles = new Set(await functionRoles());
let over = false;

process.stdout.write(`Node ${process.version}, median of ${runs} fresh processes\n\n`);
process.stdout.write('function          KB minified    import ms (min … max)\n');
for (const { name, directory, bytes } of bundles) {
  if (!roles.has(name)) continue;
  const environment = await plausibleEnvironment(name);
  const times = Array.from({ length: runs }, () =>
    importTime(path.join(directory, 'index.mjs'), environment),
  ).sort((a, b) => a - b);
  const median = times[Math.floor(runs / 2)] ?? NaN;
  const kilobytes = bytes / 1000;
  const bad = kilobytes > limits.kilobytes || !(median <= limits.milliseconds);
  over ||= bad;
  process.stdout.write(
    `${name.padEnd(16)} ${kilobytes.toFixed(0).padStart(8)} ${median.toFixed(0).padStart(18)} ` +
      `(${times[0]?.toFixed(0)} … ${times.at(-1)?.toFixed(0)})${bad ? '  OVER THE LIMIT' : ''}\n`,
  );
}
process.stdout.write(`\nlimits: ${limits.kilobytes} KB, ${limits.milliseconds} ms\n`);
if (over) process.exitCode = 1;

function importTime(file: string, environment: Record<string, string>): number {
  const script = `const t = performance.now(); await import(${JSON.stringify(pathToFileURL(file).href)}); console.log('\\n' + (performance.now() - t)); process.exit(0)`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    env: { ...environment, AWS_REGION: 'us-east-1' },
  });
  if (status !== 0) throw new Error(`${file} cannot be imported:\n${stderr}`);
  return Number(stdout.trim().split('\n').at(-1));
}

/** Values that the function's own schema accepts: its handler reads them when it is imported. */
async function plausibleEnvironment(role: string): Promise<Record<string, string>> {
  const { environment } = (await import(`../functions/${role}/env.ts`)) as {
    environment: z.ZodObject<Record<string, z.ZodType>>;
  };
  return Object.fromEntries(
    Object.entries(environment.shape).map(([name, schema]) => {
      const value = ['https://example.com', 'system', '1'].find(
        (candidate) => schema.safeParse(candidate).success,
      );
      if (value === undefined) throw new Error(`${role}: no plausible value for ${name}`);
      return [name, value];
    }),
  );
}
