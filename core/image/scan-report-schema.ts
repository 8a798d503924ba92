import * as z from 'zod';

const any = z.unknown().optional();
const list = z.array(z.unknown());
const form = (description: string, members: z.ZodRawShape) => z.looseObject(members).meta({ description });

/**
 * What OpenAPI shows of a scan report: the marks by which each format is told. It checks nothing: the readers of
 * functions/image-scan/report do, more strictly than JSON Schema can say.
 */
export const scanReport = z
  .union([
    form('trivy image -f json', { SchemaVersion: z.literal(2), ArtifactType: z.string(), Results: any }),
    form('trivy k8s -f json', { ClusterName: z.string(), Resources: any, Findings: any }),
    z
      .array(z.looseObject({}))
      .meta({ description: "Trivy before schema 2, or several of trivy-operator's reports" }),
    form("trivy-operator's VulnerabilityReport, a list of them, or what its webhook sends", { report: any }),
    form("Harbor's envelope of Trivy's findings, by media type", {}),
    form('grype -o json', { matches: list, descriptor: any, source: any }),
    form('CycloneDX 1.4 to 1.7 with vulnerabilities, or a CycloneDX VEX', {
      bomFormat: z.literal('CycloneDX'),
      specVersion: z.string(),
      vulnerabilities: list,
    }),
    form('SARIF 2.1.0 of Trivy or Grype', { version: z.literal('2.1.0'), runs: list }),
    form('OpenVEX 0.2', { '@context': z.string(), statements: list }),
  ])
  .meta({
    id: 'ScanReport',
    description:
      'A report of a scanner, or a VEX document, told by its content; at most 4 MB of JSON, which may come with ' +
      'Content-Encoding: gzip',
  });

export const exceptionCsv = z.string().meta({
  description: 'RFC 4180 with a header, columns in any order; at most 5,000 rows and 1 MB',
  example:
    'vulnerability,package,image,repository,justification,expires\r\n' +
    'CVE-2024-45491,,,docker.io/library/*,no untrusted XML is parsed,2027-01-31T00:00:00Z\r\n',
});

export const admissionPolicyYaml = z.string().meta({
  description: 'ContainerAdmissionPolicy resources: one, several documents, or a List',
  example: [
    'apiVersion: containersecurity.tigera.io/v1beta1',
    'kind: ContainerAdmissionPolicy',
    'metadata: {name: reject-failed}',
    'spec:',
    '  rules:',
    '    - action: Reject',
    '      imageScanStatus: {operator: IsOneOf, values: [Fail]}',
    '',
  ].join('\n'),
});
