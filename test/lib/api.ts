import { beforeAll, describe, expect, test } from '@jest/globals';
import { type Route, routeTable } from '../../core/api/route-table.ts';
import { problemCodes } from '../../core/problem/problem.ts';
import { type Resources, synthesise, type Synthesis } from './synthesis.ts';

type Method = {
  HttpMethod: string;
  AuthorizationType: string;
  AuthorizerId?: { Ref: string };
  ResourceId: { Ref?: string; 'Fn::GetAtt'?: readonly [string, string] };
  Integration: { Type: string; Uri: unknown };
};
type PathPart = { PathPart: string; ParentId: Method['ResourceId'] };

describe('the REST API', () => {
  let synthesis: Synthesis;
  /** `GET /v1/clusters` → its method. */
  let methods: ReadonlyMap<string, Method>;
  let paths: ReadonlySet<string>;

  beforeAll(async () => {
    synthesis = await synthesise();
    const parts: Resources = synthesis.resources('AWS::ApiGateway::Resource');
    const pathOf = ({ Ref }: Method['ResourceId']): string => {
      const part = Ref === undefined ? undefined : (parts[Ref]?.Properties as PathPart | undefined);
      return part ? `${pathOf(part.ParentId)}/${part.PathPart}` : '';
    };
    paths = new Set(['/', ...Object.keys(parts).map((Ref) => pathOf({ Ref }))]);
    methods = new Map(
      Object.values(synthesis.resources('AWS::ApiGateway::Method')).map(({ Properties }) => {
        const method = Properties as Method;
        return [`${method.HttpMethod} ${pathOf(method.ResourceId) || '/'}`, method] as const;
      }),
    );
  });

  test('has each route of the table, led to its function', () => {
    for (const [key, route] of Object.entries<Route>(routeTable)) {
      const method = methods.get(key);
      const construct = {
        'install-assets': 'InstallAssets',
        'image-scan': 'ImageScan',
        admission: 'Admission',
        registration: 'Registration',
      }[route.role];
      expect(method?.Integration.Type).toBe('AWS_PROXY');
      expect(JSON.stringify(method?.Integration.Uri)).toContain(`"${construct}Function`);
    }
  });

  test('has nothing else but ANY, on every path and on all that are none, led to install-assets without a credential', () => {
    const others = [...methods.keys()].filter((key) => !(key in routeTable));
    expect(others.sort()).toEqual([...paths].map((path) => `ANY ${path}`).sort());
    expect(paths).toContain('/{proxy+}');
    for (const key of others) {
      expect(methods.get(key)?.AuthorizationType).toBe('NONE');
      expect(JSON.stringify(methods.get(key)?.Integration.Uri)).toContain('"InstallAssetsFunction');
    }
  });

  test('asks the one authorizer wherever the table does not say public', () => {
    const authorizers = Object.keys(synthesis.resources('AWS::ApiGateway::Authorizer'));
    expect(authorizers).toHaveLength(1);
    for (const [key, { scopes }] of Object.entries<Route>(routeTable)) {
      const { AuthorizationType, AuthorizerId } = methods.get(key) ?? {};
      expect([key, AuthorizationType, AuthorizerId?.Ref]).toEqual(
        scopes === 'public' ? [key, 'NONE', undefined] : [key, 'CUSTOM', authorizers[0]],
      );
    }
  });

  test('caches what the authorizer says for 5 s', () => {
    synthesis.templates.api.hasResourceProperties('AWS::ApiGateway::Authorizer', {
      // Of the request: only then does it come with the address of its sender.
      Type: 'REQUEST',
      AuthorizerResultTtlInSeconds: 5,
      IdentitySource: 'method.request.header.Authorization',
    });
  });

  test('throttles, the megabytes of public manifests more, and logs each request as JSON without headers, query or body', () => {
    const [stage] = Object.values(synthesis.resources('AWS::ApiGateway::Stage'));
    const logging = { LoggingLevel: 'ERROR', DataTraceEnabled: false, MetricsEnabled: false };
    expect(stage?.Properties.MethodSettings).toEqual([
      {
        ...{ HttpMethod: '*', ResourcePath: '/*', ...logging },
        ...{ ThrottlingRateLimit: 1000, ThrottlingBurstLimit: 2000 },
      },
      {
        ...{ HttpMethod: 'GET', ResourcePath: '/~1v1~1releases~1{version}~1manifests~1{name}', ...logging },
        ...{ ThrottlingRateLimit: 100, ThrottlingBurstLimit: 200 },
      },
    ]);
    const { Format } = stage?.Properties.AccessLogSetting as { Format: string };
    expect(JSON.parse(Format)).toMatchObject({
      requestId: '$context.requestId',
      tenantId: '$context.authorizer.tenantId',
    });
    expect(Format).not.toMatch(/header|querystring|authorization"/i);
  });

  test('has its account’s role for logs before the stage, and leaves it behind', () => {
    const [[account, { DeletionPolicy }] = ['', { DeletionPolicy: '' }]] = Object.entries(
      synthesis.resources('AWS::ApiGateway::Account'),
    );
    const [stage] = Object.values(synthesis.resources('AWS::ApiGateway::Stage'));
    expect(DeletionPolicy).toBe('Retain');
    expect(stage?.DependsOn).toContain(account);
  });

  test('is told its own URL with the stage’s path, which waits for no method', () => {
    const text = JSON.stringify(synthesis.templates.api.findOutputs('ApiUrl'));
    expect(text).toContain('.execute-api.');
    expect(text).toContain('/cattery"');
    expect(text).not.toContain('Deployment');
  });

  describe('answers by itself with problems:', () => {
    const responses = () =>
      new Map(
        Object.values(synthesis.resources('AWS::ApiGateway::GatewayResponse')).map(({ Properties }) => [
          Properties.ResponseType as string,
          Properties as {
            StatusCode: string;
            ResponseParameters: Record<string, string>;
            ResponseTemplates: Record<string, string>;
          },
        ]),
      );

    test.each([
      ['UNAUTHORIZED', 401, 'UNAUTHENTICATED'],
      ['ACCESS_DENIED', 403, 'NOT_A_MEMBER'],
      ['MISSING_AUTHENTICATION_TOKEN', 404, 'NOT_FOUND'],
      ['REQUEST_TOO_LARGE', 413, 'PAYLOAD_TOO_LARGE'],
      ['UNSUPPORTED_MEDIA_TYPE', 415, 'UNSUPPORTED_MEDIA_TYPE'],
      ['THROTTLED', 429, 'TOO_MANY_REQUESTS'],
      ['DEFAULT_4XX', 400, 'INVALID_REQUEST'],
      ['DEFAULT_5XX', 500, 'INTERNAL'],
      ['AUTHORIZER_FAILURE', 503, 'UNAVAILABLE'],
      ['INTEGRATION_TIMEOUT', 504, 'TIMEOUT'],
    ] as const)('%s is %i %s', (type, status, code) => {
      const response = responses().get(type);
      expect(response?.StatusCode).toBe(String(status));
      expect(JSON.parse(response?.ResponseTemplates['application/json'] ?? '')).toEqual({
        type: `urn:cattery:problem:${code}`,
        title: problemCodes[code][1],
        status,
        code,
        requestId: '$context.requestId',
      });
    });

    test('every one says its media type and is not to be stored', () => {
      for (const { ResponseParameters } of responses().values()) {
        expect(ResponseParameters).toMatchObject({
          'gatewayresponse.header.Content-Type': "'application/problem+json'",
          'gatewayresponse.header.Cache-Control': "'no-store'",
        });
      }
    });

    test('a 401 says how to authenticate', () => {
      expect(
        responses().get('UNAUTHORIZED')?.ResponseParameters['gatewayresponse.header.WWW-Authenticate'],
      ).toBe("'Bearer'");
    });
  });
});
