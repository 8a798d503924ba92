import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { routeTable } from '../../../core/api/route-table.ts';
import { synthesise } from '../../../local/stack/synthesis.ts';
import { type Assembly, readAssembly } from '../../../local/template/assembly.ts';
import { type Deployment, readDeployment } from '../../../local/template/deployment.ts';
import { resolver } from '../../../local/template/intrinsics.ts';
import { physicalNames } from '../../../local/template/physical-names.ts';

const context = {
  apiUrl: 'https://127.0.0.1:18443',
  accessUrl: 'https://127.0.0.1:19443',
  tunnelAddress: '127.0.0.1:19000',
  oidcIssuer: 'https://127.0.0.1:18443/oidc',
  oidcAudience: 'the-audience',
};

describe('the deployment that is read from the synthesised templates', () => {
  let directory: string;
  let assembly: Assembly;
  let deployment: Deployment;

  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'assembly-'));
    await synthesise(directory, context);
    assembly = await readAssembly(directory);
    deployment = readDeployment(assembly);
  }, 120_000);
  afterAll(() => rm(directory, { recursive: true, force: true }));

  const idOf = (role: string) => new RegExp(`^${role.replace('-', '')}function[0-9a-f]{8}$`, 'i');
  const functionOf = (role: string) => {
    const found = deployment.functions.filter(({ logicalId }) => idOf(role).test(logicalId));
    expect(found.map(({ name }) => name)).toHaveLength(1);
    const [one] = found;
    if (!one) throw new Error(`no function for ${role}`);
    return one;
  };
  const roles = [
    'admission',
    'authorizer',
    'certificates',
    'image-scan',
    'install-assets',
    'operator',
    'registration',
    'release-mirror',
  ];

  test('every intrinsic function of every resource and output resolves', () => {
    const { resolve } = resolver(assembly, physicalNames);
    for (const { stack, logicalId, properties } of assembly.resources) {
      const text = JSON.stringify(resolve(stack, properties));
      expect(`${logicalId} ${/"(Ref|Fn::[A-Za-z]+)":/.exec(text)?.[0] ?? 'resolved'}`).toBe(
        `${logicalId} resolved`,
      );
    }
    for (const { stack, value } of assembly.outputs) expect(typeof resolve(stack, value)).toBe('string');
  });

  test('one function for each role and no other, with its bundle, timeout and memory', async () => {
    expect(deployment.functions).toHaveLength(roles.length);
    for (const role of roles) {
      const { code, handler, timeoutMs, memoryMb, arn, name } = functionOf(role);
      await access(path.join(code, 'index.mjs'));
      expect(code.startsWith(directory)).toBe(true);
      expect(handler).toBe('index.handler');
      expect(arn).toBe(`arn:aws:lambda:us-east-1:000000000000:function:${name}`);
      expect(timeoutMs).toBeGreaterThanOrEqual(5_000);
      // The gateway waits 29 s for those behind it.
      if (!['certificates', 'operator', 'release-mirror'].includes(role))
        expect(timeoutMs).toBeLessThan(29_000);
      expect(memoryMb).toBeGreaterThanOrEqual(256);
    }
  });

  test("environments name the deployment's own tables, buckets, keys, secrets and roles, and the laptop's addresses", () => {
    const names = new Set([
      ...deployment.tables.map(({ name }) => name),
      ...deployment.buckets.map(({ name }) => name),
      ...deployment.keys.map(({ keyId }) => keyId),
      ...deployment.secrets.map(({ arn }) => arn),
    ]);
    const environments = [...deployment.functions, deployment.container].map(
      ({ environment }) => environment,
    );
    for (const [variable, value] of environments.flatMap((one) => Object.entries(one))) {
      expect([variable, typeof value]).toEqual([variable, 'string']);
      if (/_(TABLE|BUCKET|KEY_ID|SECRET_ID)$/.test(variable))
        expect([variable, names.has(value)]).toEqual([variable, true]);
      if (variable === 'TENANT_ROLE_ARN') expect(deployment.policies.rolePolicies(value)).toBeDefined();
    }
    expect(functionOf('authorizer').environment).toMatchObject({
      OIDC_ISSUER: context.oidcIssuer,
      OIDC_AUDIENCE: context.oidcAudience,
    });
    expect(functionOf('install-assets').environment).toMatchObject({
      API_URL: context.apiUrl,
      ACCESS_URL: context.accessUrl,
    });
    expect(functionOf('registration').environment.TUNNEL_ADDRESS).toBe(context.tunnelAddress);
    expect(functionOf('certificates').environment.ACCESS_URL).toBe(context.accessUrl);
  });

  test('every role has policies and is assumed by the service that runs it', () => {
    const serviceOf = (roleArn: string) =>
      JSON.stringify(deployment.policies.rolePolicies(roleArn)?.trust ?? 'no role');
    for (const { roleArn } of deployment.functions) {
      expect(serviceOf(roleArn)).toContain('lambda.amazonaws.com');
      expect(deployment.policies.rolePolicies(roleArn)?.inline.length).toBeGreaterThan(0);
    }
    expect(serviceOf(deployment.container.roleArn)).toContain('ecs-tasks.amazonaws.com');
    expect(deployment.policies.rolePolicies(deployment.container.roleArn)?.inline.length).toBeGreaterThan(0);
  });

  test('every row of the route table leads to its function, through the authorizer unless it is public', () => {
    const authorizers = [...deployment.api.authorizers.keys()];
    expect(authorizers).toHaveLength(1);
    for (const [row, { role, scopes }] of Object.entries(routeTable)) {
      const [httpMethod, resource] = row.split(' ');
      const found = deployment.api.methods.filter(
        (method) => method.httpMethod === httpMethod && method.resource === resource,
      );
      expect({
        row,
        found: found.map(({ functionArn, authorizer }) => ({ functionArn, authorizer })),
      }).toEqual({
        row,
        found: [
          { functionArn: functionOf(role).arn, authorizer: scopes === 'public' ? undefined : authorizers[0] },
        ],
      });
    }
  });

  test('what is no row leads to the function that answers 404 and 405, without an authorizer', () => {
    const rows = new Set<string>(Object.keys(routeTable));
    const others = deployment.api.methods.filter(
      ({ httpMethod, resource }) => !rows.has(`${httpMethod} ${resource}`),
    );
    const covered = others.map(({ resource }) => resource);
    for (const row of rows) expect(covered).toContain(row.split(' ')[1]);
    expect(covered).toEqual(expect.arrayContaining(['/', '/{proxy+}']));
    for (const { httpMethod, functionArn, authorizer } of others)
      expect([httpMethod, functionArn, authorizer]).toEqual([
        'ANY',
        functionOf('install-assets').arn,
        undefined,
      ]);
  });

  test('what the authorizer answers is kept at most 5 s', () => {
    const [authorizer] = [...deployment.api.authorizers.values()];
    expect(authorizer?.functionArn).toBe(functionOf('authorizer').arn);
    expect(authorizer?.cacheMs).toBeLessThanOrEqual(5_000);
  });

  test("the gateway's own answers are problems", () => {
    for (const type of [
      'UNAUTHORIZED',
      'ACCESS_DENIED',
      'REQUEST_TOO_LARGE',
      'INTEGRATION_TIMEOUT',
      'DEFAULT_5XX',
    ]) {
      const response =
        deployment.api.gatewayResponses.get(type) ?? deployment.api.gatewayResponses.get('DEFAULT_4XX');
      expect(response?.headers['Content-Type']).toBe('application/problem+json');
      expect(JSON.parse(response?.template ?? '')).toMatchObject({ requestId: '$context.requestId' });
    }
  });

  test('three tables with the keys pk and sk and removal by expiresAt', () => {
    expect(deployment.tables).toHaveLength(3);
    for (const table of deployment.tables) {
      expect(table).toMatchObject({
        keySchema: [
          { attributeName: 'pk', keyType: 'HASH' },
          { attributeName: 'sk', keyType: 'RANGE' },
        ],
        attributeDefinitions: [
          { attributeName: 'pk', attributeType: 'S' },
          { attributeName: 'sk', attributeType: 'S' },
        ],
        ttlAttribute: 'expiresAt',
      });
    }
  });

  test('buckets of reports, logs and assets are versioned, and a policy refuses what is not TLS', () => {
    for (const bucket of [
      functionOf('image-scan').environment.SCAN_BUCKET,
      functionOf('release-mirror').environment.ASSETS_BUCKET,
      deployment.container.environment.LOG_BUCKET,
    ]) {
      expect(deployment.buckets.find(({ name }) => name === bucket)?.versioned).toBe(true);
      const policy = JSON.stringify(deployment.policies.resourcePolicy(`arn:aws:s3:::${bucket}`));
      expect(policy).toContain('"aws:SecureTransport":"false"');
    }
  });

  test('keys that sign for the CA and the bundles, and one that makes tokens, each with a policy', () => {
    expect(deployment.keys.map(({ keySpec, usage }) => [keySpec, usage])).toEqual([
      ['ECC_NIST_P256', 'SIGN_VERIFY'],
      ['HMAC_256', 'GENERATE_VERIFY_MAC'],
      ['ECC_NIST_P256', 'SIGN_VERIFY'],
    ]);
    const { BUNDLE_KEY_ID: bundle } = functionOf('admission').environment;
    const { CA_KEY_ID: ca, TOKEN_KEY_ID: token } = functionOf('registration').environment;
    expect(deployment.keys.map(({ keyId }) => keyId)).toEqual([ca, token, bundle]);
    for (const { arn } of deployment.keys) expect(deployment.policies.resourcePolicy(arn)).toBeDefined();
  });

  test('two secrets, which only the certificates function fills', () => {
    const { ROOTS_SECRET_ID: roots, TUNNEL_SECRET_ID: tunnel } = functionOf('certificates').environment;
    expect(new Set(deployment.secrets.map(({ arn }) => arn))).toEqual(new Set([roots, tunnel]));
    expect(deployment.container.environment.TUNNEL_SECRET_ID).toBe(tunnel);
    for (const { environment } of deployment.functions.filter(
      ({ logicalId }) => !idOf('certificates').test(logicalId),
    ))
      expect(Object.values(environment)).not.toContain(roots);
  });

  test('certificates are made and manifests fetched at deployment, and both are looked after by a schedule', () => {
    const names = ['certificates', 'release-mirror'].map((role) => functionOf(role).name);
    expect(deployment.triggered).toEqual(names);
    expect(deployment.scheduled.map(({ functionName }) => functionName)).toEqual(names);
    for (const { everyMs } of deployment.scheduled) expect(everyMs).toBeLessThanOrEqual(86_400_000);
  });

  test('large scan reports are events of the scan bucket for image-scan, which gets them up to three times', () => {
    const { name, environment } = functionOf('image-scan');
    expect(deployment.eventRules).toEqual([
      {
        functionName: name,
        retries: 2,
        pattern: {
          source: ['aws.s3'],
          'detail-type': ['Object Created'],
          detail: {
            bucket: { name: [environment.SCAN_BUCKET] },
            object: { key: [{ prefix: 'uploads/' }] },
          },
        },
      },
    ]);
    const announcing = deployment.buckets.filter(({ announces }) => announces);
    expect(announcing.map(({ name: bucket }) => bucket)).toEqual([environment.SCAN_BUCKET]);
  });

  test('a pattern that the laptop stack does not know is refused, not ignored', () => {
    const rule = assembly.resources.find(({ properties }) => properties.EventPattern !== undefined);
    if (!rule) throw new Error('no rule');
    const unknown = {
      ...rule,
      properties: { ...rule.properties, EventPattern: { detail: { size: [{ numeric: ['>', 0] }] } } },
    };
    const changed = {
      ...assembly,
      resources: [...assembly.resources.filter((one) => one !== rule), unknown],
    };
    expect(() => readDeployment(changed)).toThrow(/by text and prefix only, not by .*numeric.* in size/);
  });

  test('the mirror alone says that it asks the internet, which a laptop does not do by itself', () => {
    const asking = deployment.functions.filter(({ reachesInternet }) => reachesInternet);
    expect(asking).toEqual([functionOf('release-mirror')]);
  });

  test("the container's bundle is in the assembly, with its ports, memory and 120 s to stop", async () => {
    const { bundle, ports, environment, stopTimeoutMs, memoryMb } = deployment.container;
    await access(bundle);
    await access(path.join(path.dirname(bundle), 'Dockerfile'));
    expect(bundle.startsWith(directory)).toBe(true);
    const { TUNNEL_PORT, ACCESS_PORT, HEALTH_PORT } = environment;
    expect(ports).toEqual([TUNNEL_PORT, ACCESS_PORT, HEALTH_PORT].map(Number));
    expect(TUNNEL_PORT).toBe('9000');
    expect(environment).toMatchObject({ OIDC_ISSUER: context.oidcIssuer, ACCESS_URL: context.accessUrl });
    expect(stopTimeoutMs).toBe(120_000);
    expect(memoryMb).toBeGreaterThanOrEqual(512);
  });

  test('outputs tell the operator function and the addresses', () => {
    expect(deployment.outputs).toMatchObject({
      OperatorFunction: functionOf('operator').name,
      ApiUrl: context.apiUrl,
      AccessUrl: context.accessUrl,
      TunnelAddress: context.tunnelAddress,
    });
  });

  test('a directory that holds no assembly is an error', async () => {
    const empty = await mkdtemp(path.join(directory, 'empty-'));
    await expect(readAssembly(empty)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
