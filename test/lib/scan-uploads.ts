import { beforeAll, describe, expect, test } from '@jest/globals';
import { maxWaitSeconds } from '../../core/image/scan-upload-schema.ts';
import { uploadKey, uploadOf } from '../../core/image/upload-key.ts';
import { leaseMs, maxAttempts } from '../../functions/image-scan/take-upload.ts';
import { resolver } from './resolution.ts';
import { synthesise, type Synthesis } from './synthesis.ts';

describe('the way of a large report', () => {
  let synthesis: Synthesis;
  let bucketId: string;
  let functionId: string;
  const named = (type: string, part: string) =>
    Object.keys(synthesis.resources(type)).find((id) => id.startsWith(part)) ?? '';
  beforeAll(async () => {
    synthesis = await synthesise();
    bucketId = named('AWS::S3::Bucket', 'BucketsScans');
    functionId = named('AWS::Lambda::Function', 'ImageScanFunction');
  });

  test('the scan bucket, and no other, tells EventBridge of its objects, without a function of the CDK’s', () => {
    const told = Object.entries(synthesis.resources('AWS::S3::Bucket')).filter(
      ([, { Properties }]) => Properties.NotificationConfiguration !== undefined,
    );
    expect(told.map(([id, { Properties }]) => [id, Properties.NotificationConfiguration])).toEqual([
      [bucketId, { EventBridgeConfiguration: { EventBridgeEnabled: true } }],
    ]);
    expect(synthesis.resources('Custom::S3BucketNotifications')).toEqual({});
  });

  test('only the bucket’s uploads reach the function, and only by that rule', () => {
    const rules = Object.entries(synthesis.resources('AWS::Events::Rule', 'api')).filter(
      ([, { Properties }]) => Properties.EventPattern !== undefined,
    );
    expect(rules).toHaveLength(1);
    const [ruleId = '', rule] = rules[0] ?? [];
    const { EventPattern, Targets, State } = resolver(synthesis)(rule?.Properties) as Record<string, unknown>;
    expect([State, EventPattern]).toEqual([
      'ENABLED',
      {
        source: ['aws.s3'],
        'detail-type': ['Object Created'],
        detail: { bucket: { name: [bucketId] }, object: { key: [{ prefix: 'uploads/' }] } },
      },
    ]);
    expect(Targets).toHaveLength(1);
    const permissions = Object.values(synthesis.resources('AWS::Lambda::Permission', 'api')).filter(
      ({ Properties }) =>
        Properties.Principal === 'events.amazonaws.com' &&
        JSON.stringify(Properties.FunctionName).includes(functionId),
    );
    expect(permissions.map(({ Properties }) => Properties.SourceArn)).toEqual([
      { 'Fn::GetAtt': [ruleId, 'Arn'] },
    ]);
    // What the rule lets through is what the function knows.
    const key = uploadKey(`t-${'a'.repeat(20)}`, `u-${'b'.repeat(26)}`);
    expect([key.startsWith('uploads/'), uploadOf(key)]).toEqual([
      true,
      { tenantId: `t-${'a'.repeat(20)}`, uploadId: `u-${'b'.repeat(26)}` },
    ]);
  });

  test('an upload is tried as often as the function counts, and a claim outlives the function that has it', () => {
    const [config] = Object.values(synthesis.resources('AWS::Lambda::EventInvokeConfig', 'api'));
    expect(config?.Properties).toMatchObject({
      FunctionName: { Ref: functionId },
      MaximumRetryAttempts: maxAttempts - 1,
      MaximumEventAgeInSeconds: 3_600,
    });
    const timeout = Number(synthesis.resources('AWS::Lambda::Function')[functionId]?.Properties.Timeout);
    expect(leaseMs).toBeGreaterThan(timeout * 1_000);
    // Lambda tries again after a minute.
    expect(leaseMs).toBeLessThan(60_000);
  });

  test('who waits for an outcome is answered before the function’s time is over, with 4 s to spare', () => {
    const timeout = Number(synthesis.resources('AWS::Lambda::Function')[functionId]?.Properties.Timeout);
    expect(timeout - maxWaitSeconds).toBeGreaterThanOrEqual(4);
  });

  test('what was uploaded is gone after a day, its versions too, and nothing else is', () => {
    const { Rules } = synthesis.resources('AWS::S3::Bucket')[bucketId]?.Properties.LifecycleConfiguration as {
      Rules: { Id: string; Prefix?: string }[];
    };
    expect(Rules.filter(({ Prefix }) => Prefix !== undefined)).toEqual([
      {
        Id: 'passing',
        Status: 'Enabled',
        Prefix: 'uploads/',
        ExpirationInDays: 1,
        NoncurrentVersionExpiration: { NoncurrentDays: 1 },
      },
    ]);
  });

  test('an alarm rings when an upload is given up', () => {
    synthesis.templates.api.hasResourceProperties('AWS::CloudWatch::Alarm', {
      Namespace: 'AWS/Lambda',
      MetricName: 'AsyncEventsDropped',
      Dimensions: [{ Name: 'FunctionName', Value: { Ref: functionId } }],
      Threshold: 0,
      ComparisonOperator: 'GreaterThanThreshold',
    });
  });
});
