import * as z from 'zod';
import { Problem } from '../../../core/problem/problem.ts';
import {
  aliasesOf,
  distinct,
  given,
  guardFindings,
  label,
  list,
  optional,
  pairs,
  readMembers,
  text,
  time,
  word,
} from './members.ts';
import type { Report, VexStatement } from './normal-form.ts';
import { applicable, productId, type VexProduct } from './vex-product.ts';

const name = text(4_096);

const named = z.object({
  '@id': optional(name),
  identifiers: pairs(name),
  hashes: pairs(text(512)),
});
/** Until 0.0.1 the bare identifier. */
const bareOr = <T extends z.ZodType>(schema: T) =>
  z.preprocess((either) => (typeof either === 'string' ? { '@id': either } : either), schema);

const component = bareOr(named);
type Component = z.infer<typeof component>;
const product = bareOr(named.extend({ subcomponents: list(component) }));
type Product = z.infer<typeof product>;

const vulnerability = bareOr(
  z.object({ '@id': optional(text(512)), name: optional(text(128)), aliases: list(text(128), 1_000) }),
);

const statement = z.object({
  vulnerability,
  timestamp: optional(text(64)),
  last_updated: optional(text(64)),
  products: list(product),
  // Of version 0.0.1: they narrow each product.
  subcomponents: list(component),
  status: z.enum(['not_affected', 'affected', 'fixed', 'under_investigation']),
  justification: optional(z.string()),
});
type Statement = z.infer<typeof statement>;

const document = z.object({
  '@context': z.unknown().optional(),
  author: text(512).min(1),
  timestamp: optional(text(64)),
  last_updated: optional(text(64)),
  statements: list(statement),
});

const namespace = /^https:\/\/openvex\.dev\/ns(?:\/v?(\d+\.\d+(?:\.\d+)?))?\/?$/;
const contexts = (context: unknown): string[] =>
  (Array.isArray(context) ? (context as unknown[]) : [context]).filter((each) => typeof each === 'string');

/** OpenVEX of any version: its context says it. */
export const isOfOpenVex = (json: unknown): boolean =>
  typeof json === 'object' &&
  json !== null &&
  contexts((json as Record<string, unknown>)['@context']).some((each) =>
    each.startsWith('https://openvex.dev/ns'),
  );

/**
 * An OpenVEX document, 0.2 or one of the 0.0.x before it (the version is in the context; none is 0.0.1). A statement
 * inherits its document's time (OpenVEX, "Inheritance Flow"). REPORT_MALFORMED, PAYLOAD_TOO_LARGE, REPORT_UNSUPPORTED.
 */
export function readOpenVex(json: unknown): Report {
  const read = readMembers(document, json);
  assertVersion(read['@context']);
  const { author, statements } = read;
  guardFindings(statements.reduce((sum, each) => sum + namesIn(each), 0));
  const issuedAt = time(read.timestamp, 'timestamp');
  const createdAt = latest(issuedAt, time(read.last_updated, 'last_updated'));
  return {
    format: 'openvex',
    scanner: { name: 'openvex' },
    ...given('createdAt', createdAt),
    author,
    statements: applicable(statements.map((each) => statementOf(each, issuedAt))),
  };
}

/** How many pairs of a product and a sub-component a statement comes to, at most. */
const namesIn = ({ products, subcomponents: shared }: Statement): number =>
  products.reduce((sum, { subcomponents }) => sum + Math.max(1, subcomponents.length + shared.length), 0);

function assertVersion(context: unknown): void {
  const [given = ''] = contexts(context).filter((each) => each.startsWith('https://openvex.dev/'));
  const found = namespace.exec(given);
  if (!found || !/^0\.[0-2](?:\.|$)/.test(found[1] ?? '0.0.1')) {
    throw new Problem(
      'REPORT_UNSUPPORTED',
      `Found OpenVEX of the context ${word(given.replace('https://openvex.dev/', ''))}. Taken is OpenVEX 0.2.`,
    );
  }
}

function statementOf(read: Statement, issuedAt: number | undefined): VexStatement {
  const vulnerabilityName = nameOf(read.vulnerability);
  const at = latest(
    time(read.timestamp, 'A timestamp') ?? issuedAt,
    time(read.last_updated, 'A last_updated'),
  );
  if (at === undefined) {
    throw new Problem('REPORT_MALFORMED', 'A statement has no timestamp, and neither has the document.');
  }
  return {
    vulnerability: vulnerabilityName,
    aliases: aliasesOf(vulnerabilityName, read.vulnerability.aliases),
    products: read.products.flatMap((each) => productsOf(each, read.subcomponents)),
    status: read.status,
    ...given('justification', label(read.justification)),
    at,
  };
}

const latest = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? (a ?? b) : Math.max(a, b);

/** The name, or what the identifier ends in: `https://nvd.nist.gov/vuln/detail/CVE-2021-44228`. */
function nameOf({ name: given, '@id': id }: Statement['vulnerability']): string {
  const found = given || /([^/#?]+)\/?$/.exec(id ?? '')?.[1]?.slice(0, 128);
  if (!found) throw new Problem('REPORT_MALFORMED', 'A statement names no vulnerability.');
  return found;
}

/**
 * A product under each of its names. With sub-components the statement is about them inside it alone: where none of
 * those can be found, neither can the product, lest the statement be about all of it.
 */
function productsOf(given: Product, ofStatement: readonly Component[]): VexProduct[] {
  const parts = [...given.subcomponents, ...ofStatement];
  const subcomponents = distinct(parts.flatMap(idsOf));
  if (parts.length > 0 && subcomponents.length === 0) return [];
  return idsOf(given).map((id) => ({ id, subcomponents }));
}

function idsOf({ '@id': id, identifiers, hashes }: Component): string[] {
  const purls = identifiers.flatMap(([kind, value]) => (kind === 'purl' ? [value] : []));
  const digests = hashes.flatMap(([algorithm, value]) =>
    /^sha-?256$/i.test(algorithm) ? [`sha256:${value.toLowerCase().replace(/^sha256:/, '')}`] : [],
  );
  return distinct([id, ...purls, ...digests].map(productId));
}
