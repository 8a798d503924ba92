/** Child process of bench/scan.ts: does one work once, and tells what its process has used for it. */
import { readFileSync } from 'node:fs';

/** What a process has used, and the answer to what it did. */
export type Used = {
  /** User and system time of the work, s. */
  readonly workSeconds: number;
  /** The same of the whole process, its start and its imports included, s. */
  readonly processSeconds: number;
  /** From its start until the work was done, by the clock, s. */
  readonly wallSeconds: number;
  /** The most resident memory that it ever had, bytes. */
  readonly peakBytes: number;
  /** Of a request; absent otherwise. */
  readonly answer?: { readonly statusCode: number; readonly body: string };
};

type Handler = (event: unknown, context: object) => Promise<Used['answer']>;

const [work, file = '', bundle = ''] = process.argv.slice(2);
const seconds = ({ user, system }: NodeJS.CpuUsage) => (user + system) / 1e6;

const handler =
  work === 'function' ? ((await import(bundle)) as { readonly handler: Handler }).handler : undefined;
const bytes = readFileSync(file);
const before = process.cpuUsage();
// Lambda's runtime gets an event as text, too.
const parsed: unknown = JSON.parse(bytes.toString('utf8'));
const answer = await handler?.(parsed, { functionName: 'image-scan', awsRequestId: 'bench' });
const workSeconds = seconds(process.cpuUsage(before));

const used: Used = {
  workSeconds,
  processSeconds: seconds(process.cpuUsage()),
  wallSeconds: performance.now() / 1_000,
  peakBytes: process.resourceUsage().maxRSS * 1024,
  ...(answer ? { answer } : {}),
};
process.send?.(used, () => process.exit(0));
