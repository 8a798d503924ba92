import * as z from 'zod';
import { accessRule, accessRuleId, accessRuleRequest } from '../access/access-rule-schema.ts';
import { admissionPolicy } from '../admission/admission-policy.ts';
import { admissionReview, admissionReviewAnswer } from '../admission/admission-review.ts';
import { bundleKeySet } from '../admission/bundle-key.ts';
import { policyImported, policyTest, policyTestAnswer } from '../admission/policy-test-schema.ts';
import {
  certificateFingerprint,
  certificateRenewal,
  certificateRenewed,
  cluster,
  clusterId,
  clusterSettings,
  registered,
  registration,
} from '../cluster/cluster-schema.ts';
import { progress, progressReport, progressTaken } from '../cluster/progress-schema.ts';
import { apiKey, apiKeyId, apiKeyIssued, apiKeyRequest } from '../credential/api-key-schema.ts';
import {
  me,
  registrationToken,
  registrationTokenIssued,
  registrationTokenRequest,
} from '../credential/registration-token-schema.ts';
import type { Scope } from '../credential/scope.ts';
import { signInFacts } from '../credential/sign-in-schema.ts';
import {
  exceptionId,
  exceptionImport,
  exceptionImportQuery,
  exceptionsQuery,
  listedException,
} from '../image/exception-list-schema.ts';
import { exceptionRequest } from '../image/exception-schema.ts';
import { findingsPage, findingsQuery } from '../image/image-finding-schema.ts';
import { imagePolicy } from '../image/image-policy-schema.ts';
import { digest, image, scanResult, scanResults } from '../image/image-schema.ts';
import { exportRow, imageExportQuery, imageListQuery, imagesPage } from '../image/image-search-schema.ts';
import { admissionPolicyYaml, exceptionCsv, scanReport } from '../image/scan-report-schema.ts';
import {
  maxWaitSeconds,
  scanUpload,
  scanUploadIssued,
  scanUploadRequest,
  uploadId,
} from '../image/scan-upload-schema.ts';
import {
  listedStatement,
  statementId,
  statementsOfAuthor,
  statementsQuery,
  statementsTaken,
} from '../image/statements-schema.ts';
import { verdictChange } from '../image/verdict-change-schema.ts';
import type { ProblemCode } from '../problem/problem.ts';
import { admissionWebhookQuery } from '../release/admission-webhook-schema.ts';
import { gitopsQuery } from '../release/gitops-schema.ts';
import { installationQuery } from '../release/installation-schema.ts';
import { imagesQuery, release, releaseDetail, releaseVersion } from '../release/release-schema.ts';
import { page, pageQuery } from './page.ts';

export type FunctionRole = 'install-assets' | 'registration' | 'image-scan' | 'admission';

export type Route = {
  /** The function that answers. */
  readonly role: FunctionRole;
  /** `public`: no credential. `any`: every verified one. A list: one of these scopes is enough. */
  readonly scopes: 'public' | 'any' | readonly [Scope, ...Scope[]];
  readonly summary: string;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  /** JSON that fits a schema, or `report`: any bytes, which the function reads itself. */
  readonly body?: z.ZodType | 'report';
  /** Media type of such bytes when they are not JSON. */
  readonly bodyType?: string;
  /** What OpenAPI shows of such bytes. */
  readonly bodySchema?: z.ZodType;
  readonly answer: {
    readonly status: 200 | 201 | 204;
    readonly description: string;
    readonly schema?: z.ZodType;
    /** Media type when it is not JSON. */
    readonly type?: string;
    /** Media types of the same that may be asked for instead. */
    readonly others?: Readonly<Record<string, z.ZodType>>;
    /** When the answer is 302 instead, and where it then points. */
    readonly redirect?: string;
  };
  /** Problems beyond those that every route may answer. */
  readonly problems?: readonly ProblemCode[];
};

const byCluster = z.object({ clusterId });
const byRelease = z.object({ version: releaseVersion });

/**
 * Every route of the API, and who may use it. The API (lib/api.ts) and the OpenAPI document are made from this table;
 * a function whose handlers do not match its rows does not compile; what is not listed is 404 or 405.
 */
export const routeTable = {
  'GET /healthz': {
    role: 'install-assets',
    scopes: 'public',
    summary: 'Whether the function reaches its table',
    answer: { status: 200, description: 'it does', schema: z.object({ status: z.literal('ok') }) },
    problems: ['UNAVAILABLE'],
  },
  'GET /openapi.json': {
    role: 'install-assets',
    scopes: 'public',
    summary: 'This document',
    answer: { status: 200, description: 'OpenAPI 3.1', schema: z.looseObject({ openapi: z.string() }) },
  },
  'GET /v1/sign-in': {
    role: 'install-assets',
    scopes: 'public',
    summary: 'How a program signs a user in',
    answer: { status: 200, description: 'issuer and client', schema: signInFacts },
  },
  'GET /install.sh': {
    role: 'install-assets',
    scopes: 'public',
    summary: 'The installer: connects the cluster of a kubectl context to this control plane',
    answer: { status: 200, description: 'a script for sh', type: 'text/x-shellscript; charset=utf-8' },
  },
  'GET /install.sh.sha256': {
    role: 'install-assets',
    scopes: 'public',
    summary: "The installer's SHA-256, as sha256sum --check reads it",
    answer: { status: 200, description: 'one line', type: 'text/plain; charset=utf-8' },
  },
  'GET /scan-report.sh': {
    role: 'install-assets',
    scopes: 'public',
    summary: 'Uploads a scan report to this control plane and ends with the verdict',
    answer: { status: 200, description: 'a script for sh', type: 'text/x-shellscript; charset=utf-8' },
  },
  'GET /scan-report.sh.sha256': {
    role: 'install-assets',
    scopes: 'public',
    summary: "That script's SHA-256, as sha256sum --check reads it",
    answer: { status: 200, description: 'one line', type: 'text/plain; charset=utf-8' },
  },
  'GET /v1/releases': {
    role: 'install-assets',
    scopes: 'public',
    summary: 'Calico versions on offer, default first',
    answer: { status: 200, description: 'the releases', schema: z.object({ items: z.array(release) }) },
  },
  'GET /v1/releases/{version}': {
    role: 'install-assets',
    scopes: 'public',
    summary: 'One release: manifests with their SHA-256, operator, Kubernetes versions, images',
    params: byRelease,
    answer: { status: 200, description: 'the release', schema: releaseDetail },
    problems: ['NOT_FOUND', 'UNAVAILABLE'],
  },
  'GET /v1/releases/{version}/manifests/{name}': {
    role: 'install-assets',
    scopes: 'public',
    summary: "One of upstream's manifests, as the release has it; its SHA-256 is the entity tag",
    params: byRelease.extend({ name: z.string().max(253) }),
    answer: {
      status: 200,
      description: 'Kubernetes objects',
      type: 'application/yaml',
      redirect: 'to upstream while this control plane has no copy; to its storage when the file is too large',
    },
    problems: ['NOT_FOUND', 'UNAVAILABLE'],
  },
  'GET /v1/releases/{version}/images': {
    role: 'install-assets',
    scopes: 'public',
    summary: 'The images that a cluster of the release pulls, one a line, for private registries',
    params: byRelease,
    query: imagesQuery,
    answer: {
      status: 200,
      description: 'registry/path/name:tag, followed by @digest where it is known',
      type: 'text/plain; charset=utf-8',
    },
    problems: ['NOT_FOUND'],
  },
  'GET /v1/install/installation-patch': {
    role: 'install-assets',
    scopes: 'public',
    summary: "A patch for the cluster's Installation object: registry, pull secret and proxy",
    query: installationQuery,
    answer: {
      status: 200,
      description: 'for kubectl patch installation default --type=merge',
      type: 'application/merge-patch+json',
    },
  },
  'GET /v1/install/gitops.yaml': {
    role: 'install-assets',
    scopes: 'public',
    summary: 'A Job that connects a cluster, and the rights that it needs, for GitOps controllers',
    query: gitopsQuery,
    answer: { status: 200, description: 'Kubernetes objects, without secrets', type: 'application/yaml' },
  },
  'GET /v1/install/admission-webhook.yaml': {
    role: 'install-assets',
    scopes: 'public',
    summary: 'The webhook that answers admission reviews inside a cluster, and the rights that it needs',
    query: admissionWebhookQuery,
    answer: { status: 200, description: 'Kubernetes objects, without secrets', type: 'application/yaml' },
    problems: ['UNAVAILABLE'],
  },
  'GET /v1/clusters/{clusterId}/manifest': {
    role: 'install-assets',
    scopes: ['clusters:install', 'cluster:report'],
    summary: 'The connect manifest, without the private key',
    params: byCluster,
    query: z.object({
      access: z
        .enum(['read', 'edit', 'impersonate'])
        .optional()
        .meta({ description: 'adds the RBAC that grants Guardian this' }),
    }),
    answer: { status: 200, description: 'Kubernetes objects', type: 'application/yaml' },
    problems: ['NOT_FOUND'],
  },
  'GET /v1/clusters/{clusterId}/kubeconfig': {
    role: 'install-assets',
    scopes: ['clusters:read'],
    summary: 'A kubeconfig for the access host',
    params: byCluster,
    query: z.object({ embed: z.literal('token').optional() }),
    answer: { status: 200, description: 'a kubeconfig', type: 'application/yaml' },
    problems: ['NOT_FOUND'],
  },
  'GET /v1/me': {
    role: 'registration',
    scopes: 'any',
    summary: 'Tenant, principal and scopes of the credential',
    answer: { status: 200, description: 'who calls', schema: me },
  },
  'POST /v1/registration-tokens': {
    role: 'registration',
    scopes: ['registration-tokens:manage'],
    summary: 'Make a token that registers one cluster',
    body: registrationTokenRequest,
    answer: { status: 201, description: 'the token, shown once', schema: registrationTokenIssued },
  },
  'GET /v1/registration-tokens': {
    role: 'registration',
    scopes: ['registration-tokens:manage'],
    summary: 'The registration tokens, without their secrets',
    query: pageQuery,
    answer: { status: 200, description: 'a page', schema: page(registrationToken) },
    problems: ['INVALID_CURSOR'],
  },
  'DELETE /v1/registration-tokens/{tokenId}': {
    role: 'registration',
    scopes: ['registration-tokens:manage'],
    summary: 'Revoke an unused registration token',
    params: z.object({ tokenId: z.string().regex(/^[a-z2-7]{16}$/) }),
    answer: { status: 204, description: 'revoked' },
    problems: ['NOT_FOUND', 'TOKEN_NOT_REVOCABLE'],
  },
  'POST /v1/api-keys': {
    role: 'registration',
    scopes: ['api-keys:manage'],
    summary: 'Make an API key, with scopes that the caller has',
    body: apiKeyRequest,
    answer: { status: 201, description: 'the key, shown once', schema: apiKeyIssued },
    problems: ['CONFLICT'],
  },
  'GET /v1/api-keys': {
    role: 'registration',
    scopes: ['api-keys:manage'],
    summary: 'The API keys, without their secrets',
    query: pageQuery,
    answer: { status: 200, description: 'a page', schema: page(apiKey) },
    problems: ['INVALID_CURSOR'],
  },
  'DELETE /v1/api-keys/{keyId}': {
    role: 'registration',
    scopes: ['api-keys:manage'],
    summary: 'Delete an API key; it works no more within 5 s',
    params: z.object({ keyId: apiKeyId }),
    answer: { status: 204, description: 'deleted' },
    problems: ['NOT_FOUND'],
  },
  'POST /v1/registrations': {
    role: 'registration',
    scopes: ['registration:use'],
    summary: 'Register a cluster; the same token and key give the same answer again',
    body: registration,
    answer: { status: 201, description: 'the cluster and what it needs to connect', schema: registered },
    problems: [
      'CSR_MALFORMED',
      'CSR_SIGNATURE_INVALID',
      'CSR_KEY_WEAK',
      'CLUSTER_NAME_INVALID',
      'CLUSTER_NAME_NOT_ALLOWED',
      'CLUSTER_NAME_TAKEN',
      'TOKEN_SPENT',
      'CONFLICT',
    ],
  },
  'GET /v1/clusters': {
    role: 'registration',
    scopes: ['clusters:read'],
    summary: 'The clusters of the tenant',
    query: pageQuery,
    answer: { status: 200, description: 'a page', schema: page(cluster) },
    problems: ['INVALID_CURSOR'],
  },
  'GET /v1/clusters/{clusterId}': {
    role: 'registration',
    scopes: ['clusters:read', 'cluster:report'],
    summary: 'One cluster: its state, versions and certificate',
    params: byCluster,
    answer: { status: 200, description: 'the cluster', schema: cluster },
    problems: ['NOT_FOUND'],
  },
  'PATCH /v1/clusters/{clusterId}': {
    role: 'registration',
    scopes: ['clusters:install'],
    summary: 'Decide whether requests into a cluster bear the identity of their user',
    params: byCluster,
    body: clusterSettings,
    answer: { status: 200, description: 'the cluster', schema: cluster },
    problems: ['NOT_FOUND'],
  },
  'DELETE /v1/clusters/{clusterId}': {
    role: 'registration',
    scopes: ['clusters:disconnect', 'cluster:report'],
    summary: 'Disconnect a cluster: its certificates are revoked and its tunnel cut within 5 s',
    params: byCluster,
    answer: { status: 204, description: 'disconnected' },
    problems: ['NOT_FOUND'],
  },
  'POST /v1/clusters/{clusterId}/progress': {
    role: 'registration',
    scopes: ['cluster:report'],
    summary: 'Say how an installer gets on; the same attempt and sequence again changes nothing',
    params: byCluster,
    body: progressReport,
    answer: { status: 200, description: 'what became of the attempt', schema: progressTaken },
    problems: ['NOT_FOUND', 'LIMIT_REACHED', 'CONFLICT', 'PAYLOAD_TOO_LARGE'],
  },
  'GET /v1/clusters/{clusterId}/progress': {
    role: 'registration',
    scopes: ['clusters:read', 'cluster:report'],
    summary: 'Steps of installs, upgrades, renewals and uninstalls',
    params: byCluster,
    query: z.object({
      follow: z.string().max(2_048).optional().meta({
        description: 'the cursor of an earlier answer: waits for something newer, at most 20 s',
      }),
    }),
    answer: { status: 200, description: 'the current attempt and older ones', schema: progress },
    problems: ['NOT_FOUND', 'INVALID_CURSOR'],
  },
  'POST /v1/clusters/{clusterId}/certificates': {
    role: 'registration',
    scopes: ['cluster:report'],
    summary: 'A certificate for a new key, with proof of the current one; the same key gives the same again',
    params: byCluster,
    body: certificateRenewal,
    answer: { status: 201, description: 'the certificate', schema: certificateRenewed },
    problems: [
      'NOT_FOUND',
      'PROOF_INVALID',
      'PROOF_STALE',
      'CSR_MALFORMED',
      'CSR_SIGNATURE_INVALID',
      'CSR_KEY_WEAK',
      'CSR_KEY_REUSED',
      'CERTIFICATE_EXPIRED',
      'LIMIT_REACHED',
      'CONFLICT',
    ],
  },
  'DELETE /v1/clusters/{clusterId}/certificates/{fingerprint}': {
    role: 'registration',
    scopes: ['cluster:report'],
    summary: 'Retire the certificate that a renewed one has replaced, once the tunnel is up with that one',
    params: byCluster.extend({ fingerprint: certificateFingerprint }),
    answer: { status: 204, description: 'revoked' },
    problems: ['NOT_FOUND', 'CERTIFICATE_IN_USE', 'CONFLICT'],
  },
  'POST /v1/access-rules': {
    role: 'registration',
    scopes: ['access-rules:manage'],
    summary: 'Let somebody do more in clusters than their role allows',
    body: accessRuleRequest,
    answer: { status: 201, description: 'the rule', schema: accessRule },
    problems: ['LIMIT_REACHED'],
  },
  'GET /v1/access-rules': {
    role: 'registration',
    scopes: ['access-rules:manage'],
    summary: 'The access rules',
    query: pageQuery,
    answer: { status: 200, description: 'a page', schema: page(accessRule) },
    problems: ['INVALID_CURSOR'],
  },
  'GET /v1/access-rules/{ruleId}': {
    role: 'registration',
    scopes: ['access-rules:manage'],
    summary: 'One access rule',
    params: z.object({ ruleId: accessRuleId }),
    answer: { status: 200, description: 'the rule', schema: accessRule },
    problems: ['NOT_FOUND'],
  },
  'DELETE /v1/access-rules/{ruleId}': {
    role: 'registration',
    scopes: ['access-rules:manage'],
    summary: 'Take an access rule away; what it alone allowed ends within 5 s',
    params: z.object({ ruleId: accessRuleId }),
    answer: { status: 204, description: 'taken away' },
    problems: ['NOT_FOUND'],
  },
  'POST /v1/scans': {
    role: 'image-scan',
    scopes: ['scans:write', 'image-policy:write'],
    summary:
      'Take a scan report of any scanner and judge its image, or each of its images (scans:write); or take a VEX document (image-policy:write)',
    query: z.object({
      image: z.string().min(1).max(1_024).optional(),
      digest: digest.optional(),
      cluster: z.string().min(1).max(64).optional().meta({ description: 'a cluster in which they run' }),
    }),
    body: 'report',
    bodySchema: scanReport,
    answer: {
      status: 201,
      description:
        'the verdict; of a report about several images, that of each; of a VEX document, what is new in it',
      schema: z.union([scanResult, scanResults, statementsTaken]),
    },
    problems: [
      'NOT_FOUND',
      'LIMIT_REACHED',
      'CONFLICT',
      'UNAVAILABLE',
      'REPORT_MALFORMED',
      'REPORT_UNSUPPORTED',
      'REPORT_DIGEST_MISMATCH',
      'REPORT_DIGEST_MISSING',
      'PAYLOAD_TOO_LARGE',
      'UNSUPPORTED_MEDIA_TYPE',
    ],
  },
  'POST /v1/scan-uploads': {
    role: 'image-scan',
    scopes: ['scans:write', 'image-policy:write'],
    summary:
      'A URL to put one report to that is too large for POST /v1/scans, bound to its length and SHA-256',
    body: scanUploadRequest,
    answer: { status: 201, description: 'where to put it, and how', schema: scanUploadIssued },
    problems: ['UNAVAILABLE'],
  },
  'GET /v1/scan-uploads/{uploadId}': {
    role: 'image-scan',
    scopes: ['scans:write', 'image-policy:write'],
    summary: 'What has become of an uploaded report: in the end, the answer of POST /v1/scans',
    params: z.object({ uploadId }),
    query: z.object({
      wait: z.coerce
        .number()
        .int()
        .min(0)
        .max(maxWaitSeconds)
        .optional()
        .meta({ description: 'waits so many seconds for the outcome' }),
    }),
    answer: { status: 200, description: 'how it stands', schema: scanUpload },
    problems: ['NOT_FOUND', 'UNAVAILABLE'],
  },
  'GET /v1/images': {
    role: 'image-scan',
    scopes: ['images:read'],
    summary: 'Images, judged now: all of them, or those that have everything that is asked for',
    query: imageListQuery,
    answer: { status: 200, description: 'a page', schema: imagesPage },
    problems: ['INVALID_CURSOR', 'UNAVAILABLE'],
  },
  'GET /v1/images/export': {
    role: 'image-scan',
    scopes: ['images:read'],
    summary:
      'The same images with all their findings, or those that are asked for; the header Link (rel="next") has the next page',
    query: imageExportQuery,
    answer: {
      status: 200,
      description: 'a page: of csv the first with a header, of cyclonedx-vex one document about one image',
      schema: z.array(exportRow),
      others: {
        'text/csv': z.string(),
        'application/vnd.cyclonedx+json': z.looseObject({ bomFormat: z.string() }),
      },
    },
    problems: ['INVALID_CURSOR', 'UNAVAILABLE'],
  },
  'GET /v1/images/{digest}': {
    role: 'image-scan',
    scopes: ['images:read'],
    summary: 'The latest result of one image, with the findings that decided',
    params: z.object({ digest }),
    answer: { status: 200, description: 'the image', schema: image },
    problems: ['NOT_FOUND'],
  },
  'GET /v1/images/{digest}/findings': {
    role: 'image-scan',
    scopes: ['images:read'],
    summary: 'All findings of the latest result of each scanner, and whether they count now',
    params: z.object({ digest }),
    query: findingsQuery,
    answer: { status: 200, description: 'a page', schema: findingsPage },
    problems: ['NOT_FOUND', 'INVALID_CURSOR', 'UNAVAILABLE'],
  },
  'GET /v1/images/{digest}/history': {
    role: 'image-scan',
    scopes: ['images:read'],
    summary: 'How the verdict about an image has changed, as uploads saw it; the latest first',
    params: z.object({ digest }),
    query: pageQuery,
    answer: { status: 200, description: 'a page', schema: page(verdictChange) },
    problems: ['NOT_FOUND', 'INVALID_CURSOR', 'UNAVAILABLE'],
  },
  'GET /v1/image-policy': {
    role: 'image-scan',
    scopes: ['images:read'],
    summary: 'The policy that verdicts follow, with an entity tag',
    answer: { status: 200, description: 'the policy', schema: imagePolicy },
    problems: ['UNAVAILABLE'],
  },
  'PUT /v1/image-policy': {
    role: 'image-scan',
    scopes: ['image-policy:write'],
    summary:
      'Replace the policy, with If-Match only the one of that entity tag; verdicts follow at once. What is left out has its default',
    body: imagePolicy,
    answer: { status: 200, description: 'the policy as stored', schema: imagePolicy },
    problems: ['LIMIT_REACHED', 'CONFLICT', 'UNAVAILABLE'],
  },
  'POST /v1/image-exceptions': {
    role: 'image-scan',
    scopes: ['image-policy:write'],
    summary: 'Except findings from verdicts until a day; 200 with the one that says the same already',
    body: exceptionRequest,
    answer: { status: 201, description: 'the exception', schema: listedException },
    problems: ['LIMIT_REACHED', 'CONFLICT', 'UNAVAILABLE'],
  },
  'GET /v1/image-exceptions': {
    role: 'image-scan',
    scopes: ['images:read'],
    summary: 'The exceptions, the latest first; expired ones for 90 days',
    query: exceptionsQuery,
    answer: { status: 200, description: 'a page', schema: page(listedException) },
    problems: ['INVALID_CURSOR', 'UNAVAILABLE'],
  },
  'GET /v1/image-exceptions/{exceptionId}': {
    role: 'image-scan',
    scopes: ['images:read'],
    summary: 'One exception',
    params: z.object({ exceptionId }),
    answer: { status: 200, description: 'the exception', schema: listedException },
    problems: ['NOT_FOUND', 'UNAVAILABLE'],
  },
  'DELETE /v1/image-exceptions/{exceptionId}': {
    role: 'image-scan',
    scopes: ['image-policy:write'],
    summary: 'Take an exception away; verdicts follow at once',
    params: z.object({ exceptionId }),
    answer: { status: 204, description: 'taken away' },
    problems: ['NOT_FOUND', 'CONFLICT', 'UNAVAILABLE'],
  },
  'POST /v1/image-exceptions/imports': {
    role: 'image-scan',
    scopes: ['image-policy:write'],
    summary:
      'Take exceptions from CSV, all of them or none; or, with dryRun, say what would become of each row',
    query: exceptionImportQuery,
    body: 'report',
    bodyType: 'text/csv',
    bodySchema: exceptionCsv,
    answer: { status: 200, description: 'what became of each row', schema: exceptionImport },
    problems: ['UNSUPPORTED_MEDIA_TYPE', 'PAYLOAD_TOO_LARGE', 'LIMIT_REACHED', 'CONFLICT', 'UNAVAILABLE'],
  },
  'GET /v1/image-statements': {
    role: 'image-scan',
    scopes: ['images:read'],
    summary: 'The VEX statements that count, one for each product, the latest first',
    query: statementsQuery,
    answer: { status: 200, description: 'a page', schema: page(listedStatement) },
    problems: ['INVALID_CURSOR', 'UNAVAILABLE'],
  },
  'DELETE /v1/image-statements': {
    role: 'image-scan',
    scopes: ['image-policy:write'],
    summary: 'Take away all VEX statements of one author; verdicts follow at once',
    query: statementsOfAuthor,
    answer: { status: 204, description: 'taken away' },
    problems: ['NOT_FOUND', 'CONFLICT', 'UNAVAILABLE'],
  },
  'DELETE /v1/image-statements/{statementId}': {
    role: 'image-scan',
    scopes: ['image-policy:write'],
    summary: 'Take away what an author says about a vulnerability in a product; verdicts follow at once',
    params: z.object({ statementId }),
    answer: { status: 204, description: 'taken away' },
    problems: ['NOT_FOUND', 'CONFLICT', 'UNAVAILABLE'],
  },
  'POST /v1/admission-reviews': {
    role: 'admission',
    scopes: ['admission:review'],
    summary: 'Answer the admission review of an API server: may these images run',
    query: z.object({
      timeout: z
        .string()
        .max(32)
        .optional()
        .meta({ description: 'how long the API server waits; it says so itself', example: '10s' }),
    }),
    body: admissionReview,
    answer: { status: 200, description: 'the review with its response', schema: admissionReviewAnswer },
    problems: ['PAYLOAD_TOO_LARGE', 'UNAVAILABLE', 'TIMEOUT'],
  },
  'GET /v1/admission-policy': {
    role: 'admission',
    scopes: ['images:read'],
    summary: 'What decides over admission beside verdicts; its revision is the entity tag',
    answer: { status: 200, description: 'the policy', schema: admissionPolicy },
    problems: ['UNAVAILABLE'],
  },
  'PUT /v1/admission-policy': {
    role: 'admission',
    scopes: ['image-policy:write'],
    summary: 'Replace the admission policy, with If-Match only the revision of that entity tag',
    body: admissionPolicy,
    answer: { status: 200, description: 'the policy as stored', schema: admissionPolicy },
    problems: ['CONFLICT', 'LIMIT_REACHED', 'UNAVAILABLE'],
  },
  'POST /v1/admission-policy/imports': {
    role: 'admission',
    scopes: ['image-policy:write'],
    summary: 'Take ContainerAdmissionPolicy resources over, by name: all of them or, with a fault, none',
    query: z.object({
      dryRun: z
        .enum(['true', 'false'])
        .default('false')
        .meta({ description: 'true: says what would become of it and stores nothing' }),
    }),
    body: 'report',
    bodyType: 'application/yaml',
    bodySchema: admissionPolicyYaml,
    answer: { status: 200, description: 'what became of each', schema: policyImported },
    problems: ['UNSUPPORTED_MEDIA_TYPE', 'PAYLOAD_TOO_LARGE', 'CONFLICT', 'LIMIT_REACHED', 'UNAVAILABLE'],
  },
  'POST /v1/admission-policy/tests': {
    role: 'admission',
    scopes: ['images:read'],
    summary: 'What a review would be answered, and what decides over each image; nothing is stored',
    body: policyTest,
    answer: { status: 200, description: 'the answer', schema: policyTestAnswer },
    problems: ['PAYLOAD_TOO_LARGE', 'UNAVAILABLE'],
  },
  'GET /v1/admission-bundle': {
    role: 'admission',
    scopes: ['admission:review'],
    summary: 'All verdicts and the policy, signed, for who answers admission reviews in a cluster',
    query: z.object({
      since: z
        .string()
        .max(2_048)
        .optional()
        .meta({ description: 'asOf of an earlier bundle: only what has changed since, if that can be told' }),
      cursor: z
        .string()
        .max(2_048)
        .optional()
        .meta({ description: 'next of the part before: the further part of that bundle' }),
    }),
    answer: {
      status: 200,
      description:
        'a JWS in compact form, ES256; its payload is an AdmissionBundle. 304 with If-None-Match while nothing has changed',
      type: 'application/jose',
    },
    problems: ['INVALID_CURSOR', 'CONFLICT', 'UNAVAILABLE'],
  },
  'GET /v1/admission-bundle/keys': {
    role: 'admission',
    scopes: 'public',
    summary: 'The keys that bundles are verified with',
    answer: { status: 200, description: 'a JWK set', schema: bundleKeySet },
    problems: ['UNAVAILABLE'],
  },
} as const satisfies Record<`${'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'} /${string}`, Route>;

export type RouteKey = keyof typeof routeTable;

/** The rows that one function answers. */
export type RouteKeyOf<R extends FunctionRole> = {
  [K in RouteKey]: (typeof routeTable)[K]['role'] extends R ? K : never;
}[RouteKey];
