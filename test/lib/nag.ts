import { beforeAll, describe, expect, test } from '@jest/globals';
import { Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import type { IConstruct } from 'constructs';
import { describeApp, type Described } from './synthesis.ts';

type Finding = { readonly rule: string; readonly path: string };

/** What the rules find, before synthesis puts imports in place of names; `acknowledged: false` looks past the acknowledgements. */
function findings({ app }: Described, { acknowledged }: { acknowledged: boolean }): readonly Finding[] {
  const checks = new AwsSolutionsChecks(app);
  if (!acknowledged) Object.defineProperty(checks, 'isAcknowledged', { value: () => false });
  return checks.validateScope(app).violations.flatMap(({ ruleName, violatingResources = [] }) =>
    violatingResources.map((resource) => ({
      rule: ruleName,
      path: (resource as { constructPath?: string }).constructPath ?? '',
    })),
  );
}

/** Acknowledgements in the app: which rule, where, and why. */
function acknowledgements({ app }: Described): readonly (Finding & { readonly reason: string })[] {
  const of = ({ node }: IConstruct) =>
    node.metadata
      .filter(({ type }) => type === Validations.ACKNOWLEDGED_RULES_METADATA_KEY)
      .flatMap(({ data }) => Object.entries(data as Record<string, string>))
      .map(([rule, reason]) => ({ rule: rule.replace(/^annotation::/i, ''), path: node.path, reason }))
      .filter(({ rule }) => rule.startsWith('AwsSolutions-'));
  return app.node.findAll().flatMap(of);
}

const domain = { domain: 'cattery.example.com', hostedZoneId: 'Z0123456789' };

describe.each([
  ['as it comes', {}],
  ['with a domain', domain],
])('cdk-nag AwsSolutions, %s', (_name, context) => {
  let described: Described;
  beforeAll(async () => {
    described = await describeApp(context);
  });

  test('finds nothing in the three stacks', () => {
    expect(findings(described, { acknowledged: true })).toEqual([]);
  });

  test('finds something where a rule is acknowledged: no acknowledgement is left over', () => {
    const found = findings(described, { acknowledged: false });
    expect(found.length).toBeGreaterThan(10);
    const leftOver = acknowledgements(described).filter(
      ({ rule, path }) =>
        !found.some((finding) => finding.rule === rule && `${finding.path}/`.startsWith(`${path}/`)),
    );
    expect(leftOver).toEqual([]);
  });

  test('is acknowledged at resources, never at a stack, and each time with a reason', () => {
    for (const { path, reason } of acknowledgements(described)) {
      expect(path.split('/').length).toBeGreaterThan(2);
      expect(reason.length).toBeGreaterThan(40);
    }
  });
});
