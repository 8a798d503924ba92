/** The bundle that is deployed, as its role, under the synthesised policies. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DeleteObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { catalogue } from '../../../core/release/catalogue.ts';
import { manifestKey } from '../../../core/release/manifest-key.ts';
import { ManifestRepository } from '../../../core/release/manifest-repository.ts';
import { type AwsEndpoint, startAwsEndpoint } from '../../../local/aws/endpoint.ts';
import { FunctionRunner } from '../../../local/function/function-runner.ts';
import { freePort } from '../../../local/stack/free-port.ts';
import { synthesise } from '../../../local/stack/synthesis.ts';
import { readAssembly } from '../../../local/template/assembly.ts';
import type { FunctionSpec } from '../../../local/template/compute.ts';
import { type Deployment, readDeployment } from '../../../local/template/deployment.ts';
import { laptop } from '../../../local/template/intrinsics.ts';

const wanted = catalogue().releases.flatMap(({ version, manifests }) =>
  manifests.map(({ name }) => `${version}/${name}`),
);

describe('the mirror as it is deployed', () => {
  let directory: string;
  let deployment: Deployment;
  let endpoint: AwsEndpoint;
  let runner: FunctionRunner;
  const clients: S3Client[] = [];

  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'release-mirror-'));
    const within = (name: string) => path.join(directory, name);
    await synthesise(within('cdk.out'), { apiUrl: 'https://127.0.0.1:18443' });
    deployment = readDeployment(await readAssembly(within('cdk.out')));
    const nothing = () => undefined;
    endpoint = await startAwsEndpoint({
      ...deployment,
      dataDir: within('data'),
      region: laptop.region,
      accountId: laptop.accountId,
      log: { info: nothing, warn: nothing, error: nothing },
    });
    await mkdir(within('logs'));
    // Where nobody listens: what asks upstream is refused on this machine, and nothing leaves it.
    const nobody = `http://127.0.0.1:${await freePort()}`;
    runner = new FunctionRunner({
      functions: [functionOf('ReleaseMirror')],
      platformEnvironment: ({ roleArn, name }) => {
        const { accessKeyId, secretAccessKey, sessionToken } = endpoint.credentialsFor(roleArn);
        return {
          AWS_REGION: laptop.region,
          AWS_ENDPOINT_URL: endpoint.url,
          AWS_ACCESS_KEY_ID: accessKeyId,
          AWS_SECRET_ACCESS_KEY: secretAccessKey,
          AWS_SESSION_TOKEN: sessionToken,
          AWS_LAMBDA_FUNCTION_NAME: name,
          NODE_USE_ENV_PROXY: '1',
          HTTPS_PROXY: nobody,
          NO_PROXY: '127.0.0.1',
        };
      },
      logDirectory: within('logs'),
    });
  }, 120_000);
  afterAll(async () => {
    for (const client of clients) client.destroy();
    await runner.close();
    await endpoint.close();
    await rm(directory, { recursive: true, force: true });
  });

  function functionOf(construct: string): FunctionSpec {
    const found = deployment.functions.find(({ logicalId }) => logicalId.startsWith(`${construct}Function`));
    if (!found) throw new Error(`no function of ${construct}`);
    return found;
  }
  const bucket = () => functionOf('ReleaseMirror').environment.ASSETS_BUCKET ?? '';
  const s3With = (credentials: AwsEndpoint['operator']): S3Client => {
    const client = new S3Client({
      endpoint: endpoint.url,
      region: laptop.region,
      credentials,
      forcePathStyle: true,
    });
    clients.push(client);
    return client;
  };
  const s3Of = (construct: string) => s3With(endpoint.credentialsFor(functionOf(construct).roleArn));
  /** The function's lines that are JSON. */
  const logged = async (): Promise<Record<string, unknown>[]> => {
    const [file = ''] = await readdir(path.join(directory, 'logs'));
    return (await readFile(path.join(directory, 'logs', file), 'utf8'))
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  const repositoryOf = (construct: string) => new ManifestRepository(s3Of(construct), bucket());
  const text = Buffer.alloc(4_600_000, '# large\n');
  const manifest = {
    version: 'v3.99.0',
    name: 'operator-crds.yaml',
    sha256: createHash('sha256').update(text).digest('hex'),
  };

  test('without a way to upstream it names each manifest, throws, and counts them for the alarm', async () => {
    const result = await runner.invoke(functionOf('ReleaseMirror').arn, {});
    const { errorMessage } = 'error' in result ? result.error : { errorMessage: 'none' };
    expect(errorMessage).toMatch(/^Refused: /);
    for (const each of wanted) expect(errorMessage).toContain(`${each}: UNREACHABLE, `);
    const lines = await logged();
    const figures = lines.find((line) => '_aws' in line);
    expect(figures).toMatchObject({
      service: 'release-mirror',
      ManifestsRefused: wanted.length,
      ManifestsStored: 0,
      _aws: { CloudWatchMetrics: [{ Namespace: 'Cattery', Dimensions: [['service']] }] },
    });
    expect(lines.find(({ message }) => message === 'releases mirrored')).toMatchObject({
      level: 'INFO',
      refused: wanted.map((each) =>
        expect.objectContaining({ name: each.split('/')[1], code: 'UNREACHABLE' }),
      ),
    });
  }, 60_000);

  test('with all there it asks nobody, answers so, and counts zeros, which end the alarm', async () => {
    const operator = s3With(endpoint.operator);
    for (const { version, manifests } of catalogue().releases)
      for (const { name, sha256 } of manifests) {
        const Key = manifestKey({ version, name, sha256 });
        await operator.send(new PutObjectCommand({ Bucket: bucket(), Key, Body: 'mirrored before' }));
      }
    const result = await runner.invoke(functionOf('ReleaseMirror').arn, {});
    expect(result).toEqual({ value: { stored: [], present: wanted.length } });
    expect((await logged()).filter((line) => '_aws' in line).at(-1)).toMatchObject({
      ManifestsRefused: 0,
      ManifestsStored: 0,
    });
  });

  test('its role puts and lists, and neither reads nor deletes', async () => {
    const repository = repositoryOf('ReleaseMirror');
    await repository.put(manifest, text);
    await repository.put(manifest, text);
    expect(await repository.mirrored(manifest.version)).toEqual(new Set([manifest.sha256]));
    await expect(repository.read(manifest)).rejects.toMatchObject({ name: 'AccessDenied' });
    const where = { Bucket: bucket(), Key: manifestKey(manifest) };
    const s3 = s3Of('ReleaseMirror');
    await expect(s3.send(new DeleteObjectCommand(where))).rejects.toMatchObject({ name: 'AccessDenied' });
    await expect(
      s3.send(new PutObjectCommand({ Bucket: bucket(), Key: 'elsewhere', Body: 'x' })),
    ).rejects.toMatchObject({ name: 'AccessDenied' });
  });

  test('the role of install-assets reads, by a URL of its own what is large, is told what is not there, and puts nothing', async () => {
    const repository = repositoryOf('InstallAssets');
    const read = await repository.read(manifest);
    if (!read || !('url' in read)) throw new Error('no URL');
    const answer = await fetch(read.url);
    expect(answer.status).toBe(200);
    expect(Buffer.from(await answer.arrayBuffer()).equals(text)).toBe(true);
    expect(await repository.mirrored(manifest.version)).toEqual(new Set([manifest.sha256]));
    expect(await repository.read({ ...manifest, version: 'v3.98.0' })).toBeUndefined();
    await expect(repository.put({ ...manifest, name: 'x.yaml' }, text)).rejects.toMatchObject({
      name: 'AccessDenied',
    });
  });
});
