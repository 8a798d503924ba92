/** Child process of bench/admission.ts: answers reviews one after another, and tells what each took. */
import { readFileSync } from 'node:fs';

/** What a process's reviews have taken. */
export type Used = {
  /** Wall time of each, ms. */
  readonly milliseconds: readonly number[];
  /** User and system time of all of them together, s. */
  readonly cpuSeconds: number;
  /** The most resident memory that it ever had, bytes. */
  readonly peakBytes: number;
  /** The last answer. */
  readonly answer: { readonly statusCode: number; readonly body: string };
};

type Handler = (event: unknown, context: object) => Promise<Used['answer']>;

const [file = '', bundle = '', warmUp = '', reviews = ''] = process.argv.slice(2);
const { handler } = (await import(bundle)) as { readonly handler: Handler };
// One event a line, taken in turns.
const events = readFileSync(file, 'utf8').trim().split('\n');
let asked = 0;
// Lambda's runtime gets an event as text, too.
const review = () => {
  const event: unknown = JSON.parse(events[asked % events.length] ?? '');
  asked += 1;
  return handler(event, { functionName: 'admission', awsRequestId: 'bench' });
};

for (let done = 0; done < Number(warmUp); done += 1) await review();
const milliseconds: number[] = [];
const before = process.cpuUsage();
let answer = await review();
for (let done = 0; done < Number(reviews); done += 1) {
  const started = performance.now();
  answer = await review();
  milliseconds.push(performance.now() - started);
}
const { user, system } = process.cpuUsage(before);

const used: Used = {
  milliseconds,
  cpuSeconds: (user + system) / 1e6,
  peakBytes: process.resourceUsage().maxRSS * 1024,
  answer,
};
process.send?.(used, () => process.exit(0));
