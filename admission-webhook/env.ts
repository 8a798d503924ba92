import { isIP } from 'node:net';
import * as z from 'zod';
import { tenantIdPattern } from '../core/tenant/identifier.ts';

const port = z.coerce.number().int().min(0).max(65_535);
const seconds = z.coerce.number().int().min(1).max(3_600);
const name = z.string().regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/);

/** Environment of this container; functions/install-assets/admission-webhook-pod.ts sets it. */
export const environment = z.object({
  /** Base URL of the control plane's API, which signs its bundles with it. */
  API_URL: z.url(),
  /** Whose bundles are taken, and nobody else's. */
  TENANT_ID: z.string().regex(tenantIdPattern),
  /** File with the API key. */
  API_KEY_FILE: z.string().min(1),
  /** File with the public keys that bundles are signed by, a JWKS. */
  BUNDLE_KEYS_FILE: z.string().min(1),
  /** For the last good bundle; outlives the process, not the pod. */
  DATA_DIRECTORY: z.string().min(1),
  /** Where this runs, and under which names its objects are there. */
  NAMESPACE: name,
  TLS_SECRET: name,
  WEBHOOK_CONFIGURATION: name,
  /** Names and addresses by which API servers call, separated by commas. */
  TLS_NAMES: z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.tuple([hostName()], hostName())),
  /** Set by every kubelet. */
  KUBERNETES_SERVICE_HOST: z.string().min(1),
  KUBERNETES_SERVICE_PORT: port,
  SERVICE_ACCOUNT_DIRECTORY: z.string().min(1).default('/var/run/secrets/kubernetes.io/serviceaccount'),
  /** Default: every address of the pod, of both families where it has both. */
  LISTEN_ADDRESS: z.string().min(1).optional(),
  /** How often the control plane is asked for what is new, and Secret and configuration are looked at. */
  BUNDLE_POLL_SECONDS: seconds.default(30),
  CERTIFICATE_CHECK_SECONDS: seconds.default(30),
  REVIEW_PORT: port.default(8443),
  /** Probes and figures. */
  INTERNAL_PORT: port.default(9464),
});
export type Environment = z.infer<typeof environment>;

function hostName() {
  return z.string().refine((text) => isIP(text) > 0 || name.safeParse(text).success, {
    error: 'must be a DNS name or an address',
  });
}
