import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { scanUpload, scanUploadIssued } from '../../core/image/scan-upload-schema.ts';
import { uploadKey } from '../../core/image/upload-key.ts';
import { newTenantId } from '../../core/tenant/identifier.ts';
import { median } from '../tunnel/statistics.ts';
import { apiEvent } from './api-event.ts';
import type { Cloud } from './cloud.ts';
import { countedIn } from './counted-findings.ts';
import { type HostileReport, hostileReports } from './hostile-reports.ts';
import type { Used } from './measured-process.ts';
import { functionLimits, type ScanFunction } from './scan-function.ts';

type Bench = {
  readonly directory: string;
  readonly cloud: Cloud;
  readonly scan: ScanFunction;
  readonly runs: number;
  readonly say: (line: string) => void;
};

/** Has the function take each of the hostile reports so many times, and prints medians; false: one is above its limits. */
export async function measureUploads({ runs, say, ...bench }: Bench): Promise<boolean> {
  const { seconds, megabytes } = functionLimits;
  say(`Node ${process.version}, medians of ${runs} new processes each, from their start to their end\n`);
  say(`${''.padEnd(44)} findings     CPU s    wall s   peak MB`);
  const line = (name: string, ...figures: readonly string[]) =>
    say(name.padEnd(43) + figures.map((figure) => figure.padStart(10)).join(''));
  let within = true;
  for (const report of hostileReports()) {
    const used: Used[] = [];
    while (used.length < runs) used.push(await uploaded(bench, report));
    const cpu = median(used.map(({ processSeconds }) => processSeconds));
    const wall = median(used.map(({ wallSeconds }) => wallSeconds));
    const peak = median(used.map(({ peakBytes }) => peakBytes)) / 1e6;
    const over = cpu > seconds || wall > seconds || peak > megabytes;
    within &&= !over;
    const figures = [String(report.findings), cpu.toFixed(1), wall.toFixed(1), peak.toFixed(0)];
    line(report.name, ...figures, ...(over ? ['  OVER THE LIMIT'] : []));
  }
  line("the function's limits", '', String(seconds), String(seconds), String(megabytes));
  return within;
}

/** The way of docs/image-scans.md, "Large reports", by a tenant of its own: what the taking of the report has used. */
async function uploaded(
  { directory, cloud, scan }: Pick<Bench, 'directory' | 'cloud' | 'scan'>,
  { name, findings, digest, text }: HostileReport,
): Promise<Used> {
  const file = path.join(directory, 'event.json');
  const take = async (event: unknown) => {
    await writeFile(file, JSON.stringify(event));
    return scan.take(file);
  };
  const tenantId = newTenantId();
  const asked = async (request: Omit<Parameters<typeof apiEvent>[0], 'tenantId'>) => {
    const { answer } = await take(apiEvent({ tenantId, ...request }));
    if (!answer || answer.statusCode >= 300) throw new Error(`${name}: ${answer?.body.slice(0, 500)}`);
    return JSON.parse(answer.body) as unknown;
  };

  const body = Buffer.from(text());
  const announced = {
    contentLength: body.length,
    sha256: createHash('sha256').update(body).digest('hex'),
    ...(digest === undefined ? {} : { digest }),
  };
  const { uploadId, url, method, headers } = scanUploadIssued.parse(
    await asked({ method: 'POST', path: '/v1/scan-uploads', body: JSON.stringify(announced) }),
  );
  // `fetch` says the length itself.
  const { 'Content-Length': _length, ...others } = headers;
  const told = once(cloud.objects, uploadKey(tenantId, uploadId), { signal: AbortSignal.timeout(60_000) });
  const put = await fetch(url, { method, headers: others, body });
  if (put.status !== 200) throw new Error(`${name}: S3 answered ${put.status} ${await put.text()}`);
  const [event] = (await told) as [unknown];

  const used = await take(event);
  const view = scanUpload.parse(
    await asked({
      path: `/v1/scan-uploads/${uploadId}`,
      resource: '/v1/scan-uploads/{uploadId}',
      params: { uploadId },
    }),
  );
  if (!view.result) throw new Error(`${name}: ${view.state} ${JSON.stringify(view.problem)}`);
  // A figure counts only if every finding was taken.
  const taken = countedIn(view.result);
  if (taken !== findings) throw new Error(`${name}: ${taken} of ${findings} findings were counted.`);
  await rm(file);
  return used;
}
