import * as z from 'zod';

const days = (byDefault: number) => z.coerce.number().int().min(1).max(3_650).default(byDefault);
const hostName =
  /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const url = z
  .url({ protocol: /^https?$/ })
  .refine((text) => !text.endsWith('/'), 'must not end with a slash')
  .optional();

/** What its members must be only the tunnel server knows; it does not start with others. */
const isJsonObject = (text: string): boolean => {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
};

const schema = z
  .object({
    /** `api.`, `access.` and `tunnel.` of it become the addresses; 443 then ends TLS at the load balancer. */
    domain: z.string().regex(hostName, 'must be a host name in lower case').optional(),
    /** ACM certificate for `api.` and `access.` of the domain; absent: one is requested, validated by DNS. */
    certificateArn: z.string().startsWith('arn:').optional(),
    /** Public Route 53 zone that holds the domain; absent: its records are made by hand. */
    hostedZoneId: z.string().min(1).optional(),
    /** An identity provider of one's own instead of a Cognito user pool; exactly as in `iss`. */
    oidcIssuer: z.url({ protocol: /^https?$/ }).optional(),
    oidcAudience: z.string().min(1).optional(),
    /** SPIFFE trust domain in the clusters' certificates; never changed after the first deployment. */
    trustDomain: z.string().regex(hostName, 'must be a host name in lower case').default('cattery.internal'),
    /** An image of the tunnel server that exists already, instead of building one (needs no Docker then). */
    tunnelImage: z.string().min(1).optional(),
    /** Limits of each tenant at the tunnel server, a JSON object; docs/limits.md lists its members. */
    tenantLimits: z.string().refine(isJsonObject, 'must be a JSON object').optional(),
    /** Public addresses, for those who put names of their own in front. */
    apiUrl: url,
    accessUrl: url,
    tunnelAddress: z
      .string()
      .regex(/^\S+:\d{1,5}$/, 'must be host:port')
      .optional(),
    /** How long the clusters' logs stay, in days. */
    logRetentionDays: days(90),
    /** How long scan reports stay, in days. */
    scanRetentionDays: days(400),
    /** SNS topic that alarms notify. */
    alarmTopicArn: z.string().startsWith('arn:').optional(),
  })
  .refine(({ oidcIssuer, oidcAudience }) => !oidcIssuer === !oidcAudience, {
    path: ['oidcAudience'],
    message: 'oidcIssuer and oidcAudience go together',
  })
  .refine(
    ({ domain, certificateArn, hostedZoneId }) => Boolean(domain) || !(certificateArn ?? hostedZoneId),
    {
      path: ['domain'],
      message: 'certificateArn and hostedZoneId need a domain',
    },
  );

/** What a deployment may choose, as CDK context (`-c name=value`); docs/deploy.md explains each. */
export type Settings = z.infer<typeof schema>;

/** Names of the settings, for those who list or document them. */
export const settingNames = Object.keys(schema.shape) as readonly (keyof Settings)[];

/** Reads and checks the context; an Error names the setting that is wrong. */
export function readSettings(context: (name: string) => unknown): Settings {
  const given = Object.fromEntries(settingNames.map((name) => [name, context(name)]));
  const read = schema.safeParse(given);
  if (read.success) return read.data;
  const wrong = read.error.issues.map(({ path, message }) => `-c ${path.join('.')}: ${message}`);
  throw new Error(`the settings of the deployment are not right\n  ${wrong.join('\n  ')}`);
}
