/** `npm run bench:scan`: what the function uses to take a real Grype report, beside JSON.parse of the same; fails when it is above its limits. */
import { fork } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { transform } from 'esbuild';
import { authorizerContext } from '../core/api/authorizer-context.ts';
import { roleScopes } from '../core/credential/scope.ts';
import { newTenantId } from '../core/tenant/identifier.ts';
import { bundleAll } from '../lib/bundle.ts';
import { startCloud } from './scan/cloud.ts';
import { grown, type Sample, sampleOf } from './scan/grype-report.ts';
import type { Used } from './scan/measured-process.ts';
import { median } from './tunnel/statistics.ts';

/** Issue 6: of a process that takes a report of 3.8 MB. */
const limits = { seconds: 1, megabytes: 256 };
/** Of lib/image-scan.ts: Node gets it as Lambda would tell it. */
const memoryMb = 1_769;
/** The size of the largest of the reports that are known (DefectDojo's many_vulns.json, python:3.6). */
const largeBytes = 3_804_852;

const command: Command = new Command('npm run bench:scan --')
  .description(
    'Gives a report to the bundle of the function image-scan, in a new process each time, with the laptop stack’s ' +
      'DynamoDB, S3 and STS around it; and to JSON.parse in processes of its own. Prints medians: CPU seconds (user and ' +
      'system) of taking the report and of the whole process from its start, peak RSS, findings a CPU second. Fails ' +
      `when the function’s process takes more than ${limits.seconds} s of CPU or ${limits.megabytes} MB for the larger one.`,
  )
  .option('--runs <n>', 'processes of each kind, in turns', runs, 7)
  .option(
    '--report <file>',
    'a Grype report with a manifestDigest',
    '../shared/scan-reports/grype-python-3.7.json',
  )
  .parse();
const options = command.opts<{ runs: number; report: string }>();

function runs(text: string): number {
  const value = Number(text);
  if (!(Number.isInteger(value) && value >= 1 && value <= 100)) throw new InvalidArgumentError('1 to 100');
  return value;
}

const say = (text: string) => process.stdout.write(`${text}\n`);
const given = await readFile(options.report, 'utf8').catch(() =>
  command.error(`${options.report} cannot be read: name a Grype report with --report`),
);
const directory = await mkdtemp(path.join(tmpdir(), 'bench-scan-'));
const cloud = await startCloud(directory);
try {
  await measure(cloud.environment);
} finally {
  await cloud.close();
  await rm(directory, { recursive: true, force: true });
}

type Work = {
  readonly name: string;
  readonly sample: Sample;
  readonly limited: boolean;
  readonly start: () => Promise<Used>;
};

async function measure(environment: Readonly<Record<string, string>>): Promise<void> {
  const { bundles } = await bundleAll(path.join(directory, 'bundles'));
  const bundle = bundles.find(({ name }) => name === 'image-scan');
  if (!bundle) throw new Error('There is no function image-scan.');
  const program = path.join(directory, 'process.mjs');
  // Types are taken out here, not in the process that is measured.
  const source = await readFile(new URL('./scan/measured-process.ts', import.meta.url), 'utf8');
  await writeFile(program, (await transform(source, { loader: 'ts' })).code);

  const real = sampleOf(given);
  const works: Work[] = [];
  for (const sample of [real, grown(real, largeBytes)]) {
    const size = `${(Buffer.byteLength(sample.text) / 1e6).toFixed(1)} MB`;
    const report = path.join(directory, `report-${works.length}.json`);
    const event = path.join(directory, `event-${works.length}.json`);
    await writeFile(report, sample.text);
    await writeFile(event, JSON.stringify(eventOf(sample)));
    const handler = pathToFileURL(path.join(bundle.directory, 'index.mjs')).href;
    works.push(
      {
        name: `JSON.parse, ${size}`,
        sample,
        limited: false,
        start: () => once(program, ['parse', report], {}),
      },
      {
        name: `image-scan, ${size}`,
        sample,
        limited: sample !== real,
        start: () => once(program, ['function', event, handler], environment),
      },
    );
  }

  const measured = works.map((work) => ({ ...work, used: [] as Used[] }));
  for (let run = 0; run < options.runs; run += 1) {
    for (const { start, used, sample } of measured) used.push(checked(await start(), sample));
  }
  say(`Node ${process.version}, medians of ${options.runs} new processes each, taken in turns\n`);
  say('                         findings   CPU s: work  process   peak MB   findings / CPU s');
  for (const { name, sample, used, limited } of measured) {
    const work = median(used.map(({ workSeconds }) => workSeconds));
    const whole = median(used.map(({ processSeconds }) => processSeconds));
    const megabytes = median(used.map(({ peakBytes }) => peakBytes)) / 1e6;
    const over = limited && (whole > limits.seconds || megabytes > limits.megabytes);
    if (over) process.exitCode = 1;
    say(
      `${name.padEnd(24)} ${String(sample.findings).padStart(8)} ${work.toFixed(3).padStart(13)} ` +
        `${whole.toFixed(3).padStart(8)} ${megabytes.toFixed(0).padStart(9)} ` +
        `${(sample.findings / work).toFixed(0).padStart(18)}${over ? '  OVER THE LIMIT' : ''}`,
    );
  }
  say(`\nlimits of the last: ${limits.seconds} s of CPU for the whole process, ${limits.megabytes} MB`);
}

/** A request as API Gateway hands it over: the body is text, decompressed. */
function eventOf({ text, digest }: Sample): object {
  return {
    httpMethod: 'POST',
    path: '/v1/scans',
    resource: '/v1/scans',
    pathParameters: null,
    queryStringParameters: { digest },
    multiValueQueryStringParameters: null,
    headers: { 'Content-Type': 'application/json' },
    multiValueHeaders: {},
    stageVariables: null,
    body: text,
    isBase64Encoded: false,
    requestContext: {
      requestId: 'bench',
      authorizer: authorizerContext({
        kind: 'user',
        tenantId: newTenantId(),
        principal: 'user:bench',
        scopes: new Set(roleScopes.owner),
      }),
    },
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
      execArgv: [`--max-old-space-size=${memoryMb}`],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    child.once('message', (used) => resolve(used as Used));
    child.once('error', reject);
    // After a message this changes nothing.
    child.once('exit', (code) => reject(new Error(`The process ended with ${code} and told nothing.`)));
  });
}

/** A figure counts only if every finding was taken. */
function checked(used: Used, { findings }: Sample): Used {
  if (!used.answer) return used;
  const { statusCode, body } = used.answer;
  if (statusCode !== 201) throw new Error(`The function answered ${statusCode}: ${body.slice(0, 500)}`);
  const { counts } = JSON.parse(body) as { counts: Readonly<Record<string, number>> };
  const taken = Object.values(counts).reduce((sum, count) => sum + count, 0);
  if (taken !== findings) throw new Error(`The function counted ${taken} of ${findings} findings.`);
  return used;
}
