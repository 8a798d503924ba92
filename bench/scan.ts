/** `npm run bench:scan`: what the function uses to take a real Grype report, beside JSON.parse of the same; fails when it is above its limits. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import type { ScanResult } from '../core/image/image-schema.ts';
import { newTenantId } from '../core/tenant/identifier.ts';
import { apiEvent } from './scan/api-event.ts';
import { startCloud } from './scan/cloud.ts';
import { countedIn } from './scan/counted-findings.ts';
import { grown, type Sample, sampleOf } from './scan/grype-report.ts';
import type { Used } from './scan/measured-process.ts';
import { functionLimits, type ScanFunction, scanFunction } from './scan/scan-function.ts';
import { measureUploads } from './scan/uploads.ts';
import { median } from './tunnel/statistics.ts';

/** Issue 6: of a process that takes a report of 3.8 MB. */
const limits = { seconds: 1, megabytes: 256 };
/** The size of the largest of the reports that are known (DefectDojo's many_vulns.json, python:3.6). */
const largeBytes = 3_804_852;

const command: Command = new Command('npm run bench:scan --')
  .description(
    'Gives a report to the bundle of the function image-scan, in a new process each time, with the laptop stack’s ' +
      'DynamoDB, S3 and STS around it; and to JSON.parse in processes of its own. Prints medians: CPU seconds (user and ' +
      'system) of taking the report and of the whole process from its start, peak RSS, findings a CPU second. Fails ' +
      `when the function’s process takes more than ${limits.seconds} s of CPU or ${limits.megabytes} MB for the larger one. ` +
      'With --uploaded: the same for reports made to hurt, as large as they may be, which it is told of by S3’s event; ' +
      `fails when one takes more than the function has: ${functionLimits.seconds} s or ${functionLimits.megabytes} MB.`,
  )
  .option('--uploaded', 'hostile reports from the bucket')
  .option('--runs <n>', 'processes of each kind, in turns (default: 7; 3 with --uploaded)', runs)
  .option(
    '--report <file>',
    'a Grype report with a manifestDigest',
    '../shared/scan-reports/grype-python-3.7.json',
  )
  .parse();
const options = command.opts<{ uploaded?: true; runs?: number; report: string }>();

function runs(text: string): number {
  const value = Number(text);
  if (!(Number.isInteger(value) && value >= 1 && value <= 100)) throw new InvalidArgumentError('1 to 100');
  return value;
}

const say = (text: string) => process.stdout.write(`${text}\n`);
const given = options.uploaded
  ? undefined
  : await readFile(options.report, 'utf8').catch(() =>
      command.error(`${options.report} cannot be read: name a Grype report with --report`),
    );
const directory = await mkdtemp(path.join(tmpdir(), 'bench-scan-'));
const cloud = await startCloud(directory);
try {
  const scan = await scanFunction(directory, cloud.environment);
  const within =
    given === undefined
      ? await measureUploads({ directory, cloud, scan, runs: options.runs ?? 3, say })
      : await measure(given, scan, options.runs ?? 7);
  if (!within) process.exitCode = 1;
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

/** False: the function is above its limits. */
async function measure(report: string, scan: ScanFunction, turns: number): Promise<boolean> {
  const real = sampleOf(report);
  const works: Work[] = [];
  for (const sample of [real, grown(real, largeBytes)]) {
    const size = `${(Buffer.byteLength(sample.text) / 1e6).toFixed(1)} MB`;
    const file = path.join(directory, `report-${works.length}.json`);
    const event = path.join(directory, `event-${works.length}.json`);
    await writeFile(file, sample.text);
    await writeFile(event, JSON.stringify(eventOf(sample)));
    works.push(
      {
        name: `JSON.parse, ${size}`,
        sample,
        limited: false,
        start: () => scan.parse(file),
      },
      {
        name: `image-scan, ${size}`,
        sample,
        limited: sample !== real,
        start: () => scan.take(event),
      },
    );
  }

  const measured = works.map((work) => ({ ...work, used: [] as Used[] }));
  for (let run = 0; run < turns; run += 1) {
    for (const { start, used, sample } of measured) used.push(checked(await start(), sample));
  }
  say(`Node ${process.version}, medians of ${turns} new processes each, taken in turns\n`);
  let within = true;
  say('                         findings   CPU s: work  process   peak MB   findings / CPU s');
  for (const { name, sample, used, limited } of measured) {
    const work = median(used.map(({ workSeconds }) => workSeconds));
    const whole = median(used.map(({ processSeconds }) => processSeconds));
    const megabytes = median(used.map(({ peakBytes }) => peakBytes)) / 1e6;
    const over = limited && (whole > limits.seconds || megabytes > limits.megabytes);
    within &&= !over;
    say(
      `${name.padEnd(24)} ${String(sample.findings).padStart(8)} ${work.toFixed(3).padStart(13)} ` +
        `${whole.toFixed(3).padStart(8)} ${megabytes.toFixed(0).padStart(9)} ` +
        `${(sample.findings / work).toFixed(0).padStart(18)}${over ? '  OVER THE LIMIT' : ''}`,
    );
  }
  say(`\nlimits of the last: ${limits.seconds} s of CPU for the whole process, ${limits.megabytes} MB`);
  return within;
}

function eventOf({ text, digest }: Sample): object {
  return apiEvent({
    tenantId: newTenantId(),
    method: 'POST',
    path: '/v1/scans',
    query: { digest },
    body: text,
  });
}

/** A figure counts only if every finding was taken. */
function checked(used: Used, { findings }: Sample): Used {
  if (!used.answer) return used;
  const { statusCode, body } = used.answer;
  if (statusCode !== 201) throw new Error(`The function answered ${statusCode}: ${body.slice(0, 500)}`);
  const taken = countedIn(JSON.parse(body) as ScanResult);
  if (taken !== findings) throw new Error(`The function counted ${taken} of ${findings} findings.`);
  return used;
}
