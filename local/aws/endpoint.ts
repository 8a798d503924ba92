/** Started by the laptop stack and by tests: serves DynamoDB, S3, KMS, Secrets Manager and STS on one loopback port and keeps their data in one directory. */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { randomUUID } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { authenticate } from './authentication.ts';
import type { Answer, AwsCall, AwsService } from './aws-call.ts';
import { AwsError, notServed } from './aws-error.ts';
import { dynamodbService } from './dynamodb/service.ts';
import { Authoriser } from './iam/authoriser.ts';
import type { PolicySource } from './iam/policy-source.ts';
import { kmsService } from './kms/service.ts';
import { operatorCredentials } from './operator-credentials.ts';
import { readBody } from './request-body.ts';
import { s3Failure, s3Service } from './s3/service.ts';
import { secretsService } from './secretsmanager/service.ts';
import { isSessionName, parseRoleArn, roleSession, Sessions } from './sessions.ts';
import type { Credentials } from './sessions.ts';
import type { BucketSpec, EndpointLog, KeySpec, SecretSpec, TableSpec } from './specs.ts';
import { stsService } from './sts/service.ts';

export type AwsEndpointOptions = {
  /** Created when absent, and readable by its owner only. One endpoint at a time may use it. */
  dataDir: string;
  /** 0 or absent: any free port. */
  port?: number;
  region: string;
  accountId: string;
  policies: PolicySource;
  tables: readonly TableSpec[];
  buckets: readonly BucketSpec[];
  keys: readonly KeySpec[];
  secrets: readonly SecretSpec[];
  log: EndpointLog;
  /** Epoch milliseconds; for tests of expiry. */
  now?: () => number;
  /** How often expired items are deleted, in milliseconds; 60,000 when absent. */
  ttlSweepMs?: number;
  /** Told, as EventBridge is, of objects in buckets that announce theirs. */
  onObject?: (event: Readonly<Record<string, unknown>>) => void;
  /** Further services by the name in the credential scope, such as `lambda`. */
  services?: Readonly<Record<string, (authoriser: Authoriser) => AwsService>>;
};

export type AwsEndpoint = {
  /** `http://127.0.0.1:<port>`: the value of AWS_ENDPOINT_URL. */
  url: string;
  port: number;
  /** What local scripts sign with; everything is allowed to them. Also kept in `<dataDir>/operator-credentials.json` (0600). */
  operator: Credentials;
  /** What the platform hands to a function or a container of this role: the same until the endpoint stops. Throws when there is no such role. */
  credentialsFor(roleArn: string, sessionName?: string): Credentials;
  /** Deletes what has expired by now, and returns how many items; runs by itself every `ttlSweepMs`. */
  deleteExpiredItems(): Promise<number>;
  /** Lets calls under way end (at most 5 s), then closes the engines. */
  close(): Promise<void>;
};

const closeGraceMs = 5_000;
/** Bodies of all services but S3; DynamoDB's own limit. */
const maxBodyBytes = 16 * 1024 * 1024;

export async function startAwsEndpoint(options: AwsEndpointOptions): Promise<AwsEndpoint> {
  const now = options.now ?? Date.now;
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  await chmod(options.dataDir, 0o700);
  const sessions = new Sessions(now);
  const authoriser = new Authoriser(options);
  const { accountId, region, log, policies } = options;
  const folder = (name: string) => path.join(options.dataDir, name);

  // The table engine comes first: its lock on the directory is what keeps a second endpoint out.
  const dynamodb = await dynamodbService({ ...options, dataDir: folder('dynamodb'), authoriser, now });
  const services = new Map<string, AwsService>();
  let operator: Credentials;
  try {
    operator = await operatorCredentials(folder('operator-credentials.json'));
    services.set('dynamodb', dynamodb);
    services.set('s3', await s3Service({ ...options, dataDir: folder('s3'), authoriser, now }));
    services.set(
      'kms',
      await kmsService({ dataDir: folder('kms'), keys: options.keys, authoriser, accountId, region, now }),
    );
    services.set(
      'secretsmanager',
      await secretsService({ dataDir: folder('secretsmanager'), secrets: options.secrets, authoriser, now }),
    );
    services.set('sts', stsService({ sessions, authoriser, policies, accountId, now, log }));
    for (const [name, make] of Object.entries(options.services ?? {})) services.set(name, make(authoriser));
  } catch (error) {
    await dynamodb.close();
    throw error;
  }
  const operatorArn = `arn:aws:iam::${accountId}:user/operator`;
  sessions.start(
    { kind: 'operator', roleArn: operatorArn, principalArn: operatorArn, userId: 'operator', tags: {} },
    operator,
  );

  const server = createServer((request, response) => {
    void answer(request, response);
  });
  // SDKs keep connections; a socket closed under a request just being sent costs them a retry.
  server.keepAliveTimeout = 65_000;
  // A large object from a slow client is no attack on a loopback port.
  server.requestTimeout = 0;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = randomUUID();
    response.setHeader('x-amzn-requestid', requestId);
    response.setHeader('x-amz-request-id', requestId);
    let service: AwsService | undefined;
    try {
      const url = request.url ?? '/';
      const cut = url.indexOf('?');
      const rawPath = cut < 0 ? url : url.slice(0, cut);
      const rawQuery = cut < 0 ? '' : url.slice(cut + 1);
      const caller = await authenticate({
        request,
        rawPath,
        rawQuery,
        sessions,
        now,
        readBody: () => readBody(request, maxBodyBytes),
        onService: (name) => {
          service = services.get(name);
          if (!service) throw notServed(name, 'anything');
        },
      });
      if (!service) throw notServed('endpoint', 'a request for no service');
      const call: AwsCall = {
        ...caller,
        requestId,
        request,
        response,
        method: request.method ?? 'GET',
        rawPath,
        query: new URLSearchParams(rawQuery),
      };
      const given = await service.handle(call);
      if (given) send(response, given);
    } catch (error) {
      // A client that went away in the middle is no failure of ours, and hears nothing more.
      if (request.errored !== null || response.destroyed) return;
      if (!(error instanceof AwsError)) {
        log.error(
          {
            requestId,
            path: request.url?.split('?')[0],
            error: String(error),
            stack: error instanceof Error ? error.stack : undefined,
          },
          'the AWS endpoint failed',
        );
      }
      const told =
        error instanceof AwsError
          ? error
          : new AwsError('InternalFailure', 'The laptop stack failed; its log says why.', 500);
      if (response.headersSent) response.destroy();
      else send(response, service ? service.failure(told, requestId) : s3Failure(told, requestId));
    }
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: options.port ?? 0 }, resolve);
  }).catch(async (error: unknown) => {
    await dynamodb.close();
    throw error;
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The endpoint has no port.');

  const sweep = setInterval(() => {
    dynamodb
      .deleteExpired()
      .catch((error: unknown) => log.error({ error: String(error) }, 'expired items could not be deleted'));
  }, options.ttlSweepMs ?? 60_000);
  sweep.unref();

  const platformCredentials = new Map<string, Credentials>();
  let closing: Promise<void> | undefined;

  return {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    operator,
    credentialsFor(roleArn, sessionName = 'laptop') {
      if (!parseRoleArn(roleArn) || !policies.rolePolicies(roleArn))
        throw new Error(`The template has no role ${roleArn}.`);
      if (!isSessionName(sessionName)) throw new Error(`Not a role session name: ${sessionName}`);
      const key = `${roleArn} ${sessionName}`;
      const credentials =
        platformCredentials.get(key) ?? sessions.start(roleSession(roleArn, sessionName, { tags: {} }));
      platformCredentials.set(key, credentials);
      return { ...credentials };
    },
    deleteExpiredItems: () => dynamodb.deleteExpired(),
    close() {
      closing ??= (async () => {
        clearInterval(sweep);
        const closed = new Promise<void>((resolve) => server.close(() => resolve()));
        server.closeIdleConnections();
        const grace = setTimeout(() => server.closeAllConnections(), closeGraceMs);
        await closed;
        clearTimeout(grace);
        await dynamodb.close();
      })();
      return closing;
    },
  };
}

function send(response: ServerResponse, answer: Answer): void {
  const body = answer.body ?? '';
  const bodiless = answer.status === 204 || answer.status === 304;
  response.writeHead(answer.status, {
    ...answer.headers,
    ...(bodiless ? {} : { 'content-length': Buffer.byteLength(body) }),
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
