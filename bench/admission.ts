/** `npm run bench:admission`: what the function takes for a review of ten images; fails when it is above its limit. */
import { fork } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { transform } from 'esbuild';
import { authorizerContext } from '../core/api/authorizer-context.ts';
import { newTenantId } from '../core/tenant/identifier.ts';
import { bundleAll } from '../lib/bundle.ts';
import type { Used } from './admission/measured-process.ts';
import { storeTenant } from './admission/tenant.ts';
import { startCloud } from './scan/cloud.ts';
import { percentile } from './soak/slope.ts';
import { median } from './tunnel/statistics.ts';

/** Issue 6: of a review of ten images in the function, ms. */
const limit = 25;
/** Of one review. */
const images = 10;
/** Of the tenant: twice as many images as the function remembers, so that it never knows one when they come in turns. */
const size = { images: 1_100, findings: 100, exceptions: 200 } as const;
/** Of lib/admission.ts: Node gets it as Lambda would tell it. */
const memoryMb = 1_769;

const command: Command = new Command('npm run bench:admission --')
  .description(
    `Gives reviews of ${images} images with ${size.findings} findings each to the bundle of the function admission, one after ` +
      'another, with the laptop stack’s DynamoDB and STS in another process. Prints, of each kind of review, median and ' +
      '99th percentile of the time that the function takes, CPU time (user and system) of each review, and peak RSS. ' +
      `Fails when a 99th percentile is ${limit} ms or more.`,
  )
  .option('--reviews <n>', 'reviews of each kind', reviews, 2_000)
  .parse();
const options = command.opts<{ reviews: number }>();

function reviews(text: string): number {
  const value = Number(text);
  if (!(Number.isInteger(value) && value >= 100 && value <= 100_000)) {
    throw new InvalidArgumentError('100 to 100000');
  }
  return value;
}

const say = (text: string) => process.stdout.write(`${text}\n`);
const directory = await mkdtemp(path.join(tmpdir(), 'bench-admission-'));
const cloud = await startCloud(directory);
try {
  // What the bundle's routes need and reviews do not.
  await measure({ ...cloud.environment, BUNDLE_KEY_ID: 'none', API_URL: 'https://api.example' });
} finally {
  await cloud.close();
  await rm(directory, { recursive: true, force: true });
}

async function measure(environment: Readonly<Record<string, string>>): Promise<void> {
  const { bundles } = await bundleAll(path.join(directory, 'bundles'));
  const bundle = bundles.find(({ name }) => name === 'admission');
  if (!bundle) throw new Error('There is no function admission.');
  const program = path.join(directory, 'process.mjs');
  // Types are taken out here, not in the process that is measured.
  const source = await readFile(new URL('./admission/measured-process.ts', import.meta.url), 'utf8');
  await writeFile(program, (await transform(source, { loader: 'ts' })).code);
  const handler = pathToFileURL(path.join(bundle.directory, 'index.mjs')).href;

  const tenantId = newTenantId();
  const { names, digests } = await storeTenant(environment, tenantId, size);
  const turns = Array.from({ length: size.images / images }, (_, turn) =>
    names.slice(turn * images, (turn + 1) * images),
  );
  const [few, fewDigests] = [names.slice(0, images), digests.slice(0, images)];
  const kinds = [
    ['10 images by tag', [few]],
    ['10 images by digest', [fewDigests]],
    ['50 containers of 10 tags', [Array.from({ length: 50 }, (_, index) => few[index % images] ?? '')]],
    ['10 other images each time', turns],
  ] as const;
  say(`Node ${process.version}, ${options.reviews} reviews of each kind, one after another\n`);
  say('                            median ms    p99 ms    max ms   CPU ms each   peak MB');
  for (const [kind, asked] of kinds) {
    const event = path.join(directory, 'event.json');
    await writeFile(event, asked.map((each) => JSON.stringify(eventOf(tenantId, each))).join('\n'));
    const used = checked(await once(program, [event, handler, '300', String(options.reviews)], environment));
    const ms = [...used.milliseconds];
    const p99 = percentile(ms, 0.99);
    const over = p99 >= limit;
    if (over) process.exitCode = 1;
    say(
      `${kind.padEnd(26)} ${median(ms).toFixed(2).padStart(10)} ${p99.toFixed(2).padStart(9)} ` +
        `${Math.max(...ms)
          .toFixed(2)
          .padStart(9)} ${((used.cpuSeconds / ms.length) * 1000).toFixed(2).padStart(13)} ` +
        `${(used.peakBytes / 1e6).toFixed(0).padStart(9)}${over ? '  OVER THE LIMIT' : ''}`,
    );
  }
  say(`\nlimit: a 99th percentile of less than ${limit} ms`);
}

/** A review as API Gateway hands it over, of a pod that an API server of Kubernetes 1.34 asks about. */
function eventOf(tenantId: string, names: readonly string[]): object {
  const version = { group: '', version: 'v1' };
  const review = {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
      kind: { ...version, kind: 'Pod' },
      resource: { ...version, resource: 'pods' },
      requestKind: { ...version, kind: 'Pod' },
      requestResource: { ...version, resource: 'pods' },
      name: 'web-6d4cf56db6-abcde',
      namespace: 'shop',
      operation: 'CREATE',
      userInfo: {
        username: 'system:serviceaccount:kube-system:replicaset-controller',
        groups: ['system:authenticated'],
      },
      object: {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'web-6d4cf56db6-abcde', namespace: 'shop', labels: { app: 'web' } },
        spec: {
          containers: names.map((image, index) => ({
            name: `container-${index}`,
            image,
            env: Array.from({ length: 20 }, (_, each) => ({
              name: `VARIABLE_${each}`,
              value: 'a value of some length',
            })),
            resources: { requests: { cpu: '100m', memory: '128Mi' } },
            volumeMounts: [
              { name: 'token', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true },
            ],
          })),
        },
      },
      oldObject: null,
      dryRun: false,
    },
  };
  return {
    httpMethod: 'POST',
    path: '/v1/admission-reviews',
    resource: '/v1/admission-reviews',
    pathParameters: null,
    queryStringParameters: { timeout: '10s' },
    multiValueQueryStringParameters: null,
    headers: { 'Content-Type': 'application/json' },
    multiValueHeaders: {},
    stageVariables: null,
    body: JSON.stringify(review),
    isBase64Encoded: false,
    requestContext: {
      requestId: 'bench',
      authorizer: authorizerContext({
        kind: 'api-key',
        tenantId,
        principal: 'api-key:bench',
        scopes: new Set(['admission:review']),
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

/** A figure counts only if all images were found and let in, with the warnings that their findings deserve. */
function checked(used: Used): Used {
  const { statusCode, body } = used.answer;
  if (statusCode !== 200) throw new Error(`The function answered ${statusCode}: ${body.slice(0, 500)}`);
  const { response } = JSON.parse(body) as { response: { allowed: boolean; warnings?: string[] } };
  if (!response.allowed || response.warnings?.length !== images) {
    throw new Error(`The images were not judged as they are: ${body.slice(0, 500)}`);
  }
  return used;
}
