import * as z from 'zod';
import { tenantIdPattern } from '../tenant/identifier.ts';
import { pinnedReference } from './gitops-schema.ts';
import { installationFields, objectName } from './installation-schema.ts';

const ownObject = (kind: string) =>
  z
    .string()
    .max(253)
    .regex(objectName, `must be the name of a ${kind} in namespace cattery-system`)
    .optional();

/** How the admission webhook shall run in a cluster. */
export const admissionWebhookQuery = z.strictObject({
  tenantId: z
    .string()
    .regex(tenantIdPattern, 'must be the ID of a tenant: GET /v1/me tells it')
    .meta({ description: 'whose verdicts count: bundles of any other tenant are refused' }),
  image: z
    .string()
    .max(512)
    .regex(
      pinnedReference,
      'must be an image with a tag or a digest, such as registry.example/cattery:1.2@sha256:…',
    )
    .meta({ description: "the tunnel server's image, in a registry that the cluster can pull from" }),
  failurePolicy: z.enum(['Fail', 'Ignore']).default('Ignore').meta({
    description:
      'what the API server does when the webhook does not answer. Fail: nothing that makes pods is let in. Ignore: everything is',
  }),
  replicas: z.coerce.number().int().min(1).max(5).default(2),
  network: z.enum(['pod', 'host']).default('pod').meta({
    description:
      "host: in the nodes' own network, for clusters whose API server cannot reach pods, such as EKS with Calico's network",
  }),
  imagePullSecret: ownObject('Secret'),
  caConfigMap: ownObject('ConfigMap').meta({
    description: "a ConfigMap in cattery-system whose ca.crt verifies this control plane's API host",
  }),
  httpsProxy: installationFields.httpsProxy.meta({
    description: 'on the way to this control plane; without user and password',
  }),
});
export type AdmissionWebhookQuery = z.infer<typeof admissionWebhookQuery>;
