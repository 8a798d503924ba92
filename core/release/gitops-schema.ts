import * as z from 'zod';
import { clusterNamePattern } from '../cluster/cluster-schema.ts';
import { imageComponent, installationFields, objectName, wantExceptions } from './installation-schema.ts';
import { releaseVersion } from './release-schema.ts';

/** A reference with its tag, its digest or both (OCI distribution specification): what has neither is another thing every day. */
export const pinnedReference = new RegExp(
  String.raw`^(?:[a-z0-9.-]+(?::\d{1,5})?/)?${imageComponent}(?:/${imageComponent})*(?=[:@])(?::\w[\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$`,
);

/** How a cluster shall be connected by what a GitOps controller applies. */
export const gitopsQuery = z
  .strictObject({
    clusterName: z
      .string()
      .regex(clusterNamePattern, 'must be 1 to 63 of [a-z0-9.-]')
      .meta({ description: 'by which the cluster registers' }),
    calico: z.enum(['present', 'install']).default('present').meta({
      description:
        'present: the operator is there, and the Job has the few rights that connecting takes. install: the Job installs Calico, too, which takes the rights of an administrator',
    }),
    calicoVersion: releaseVersion
      .optional()
      .meta({ description: 'with calico=install; default: the default release', example: 'v3.32.1' }),
    podCidr: z.union([z.cidrv4(), z.cidrv6()]).optional().meta({
      description: "with calico=install: the pods' network; default: kubeadm's, else 192.168.0.0/16",
    }),
    image: z
      .string()
      .max(512)
      .regex(
        pinnedReference,
        'must be an image with a tag or a digest, such as registry.example/tools:1.2@sha256:…',
      )
      .optional()
      .meta({ description: 'of the Job: sh, curl, openssl and kubectl' }),
    caConfigMap: z
      .string()
      .max(253)
      .regex(objectName, 'must be the name of a ConfigMap in namespace cattery-system')
      .optional()
      .meta({
        description: "a ConfigMap in cattery-system whose ca.crt verifies this control plane's API host",
      }),
    ...installationFields,
  })
  .superRefine((query, context) => {
    wantExceptions(query, context);
    if (query.calico === 'install') return;
    for (const name of ['calicoVersion', 'podCidr', 'registry', 'imagePath'] as const) {
      if (query[name] === undefined) continue;
      context.addIssue({
        code: 'custom',
        path: [name],
        message:
          'goes with calico=install only: the Installation of a Calico that is present is its owner’s (GET /v1/install/installation-patch makes a patch for it)',
      });
    }
  });
export type GitopsQuery = z.infer<typeof gitopsQuery>;
