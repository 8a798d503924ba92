import { describe, expect, test } from '@jest/globals';
import type { Assembly, Resource } from '../../../local/template/assembly.ts';
import { resolver } from '../../../local/template/intrinsics.ts';
import { physicalNames } from '../../../local/template/physical-names.ts';

const resource = (stack: string, logicalId: string, type: string, properties = {}): Resource => ({
  stack,
  logicalId,
  type,
  properties,
  metadata: {},
});

const assembly: Assembly = {
  directory: '',
  resources: [
    resource('Data', 'Things', 'AWS::DynamoDB::Table'),
    resource('Data', 'Objects', 'AWS::S3::Bucket'),
    resource('Api', 'Role', 'AWS::IAM::Role'),
  ],
  outputs: [{ stack: 'Data', name: 'ExportThings', value: { Ref: 'Things' }, exportName: 'Data:Things' }],
  parameters: { BootstrapVersion: { Default: '/cdk/version' } },
  imageContexts: [],
};

describe('the template reader evaluates intrinsic functions as CloudFormation does', () => {
  const { resolve, text } = resolver(assembly, physicalNames);

  test.each([
    ['Ref to a resource', { Ref: 'Things' }, 'data-things'],
    ['Ref to a pseudo parameter', { Ref: 'AWS::Region' }, 'us-east-1'],
    ['Ref to a parameter', { Ref: 'BootstrapVersion' }, '/cdk/version'],
    ['GetAtt of an ARN', { 'Fn::GetAtt': ['Objects', 'Arn'] }, 'arn:aws:s3:::data-objects'],
    ['Join with nested functions', { 'Fn::Join': ['/', ['a', { Ref: 'Things' }]] }, 'a/data-things'],
    [
      'Sub with attributes and pseudo parameters',
      { 'Fn::Sub': '${AWS::Partition}:${Objects.Arn}:${Things}' },
      'aws:arn:aws:s3:::data-objects:data-things',
    ],
    [
      'Sub with variables of its own',
      { 'Fn::Sub': ['${Name}!', { Name: { Ref: 'Things' } }] },
      'data-things!',
    ],
    [
      'Sub leaves a literal alone',
      { 'Fn::Sub': '${!aws:username}/${Things}' },
      '${aws:username}/data-things',
    ],
    ['ImportValue from another stack', { 'Fn::ImportValue': 'Data:Things' }, 'data-things'],
    ['Select and Split', { 'Fn::Select': [1, { 'Fn::Split': [':', 'a:b:c'] }] }, 'b'],
  ])('%s', (_name, value, expected) => {
    expect(text('Data', value)).toBe(expected);
  });

  test('NoValue removes the member', () => {
    expect(
      resolve('Data', { keep: 1, gone: { Ref: 'AWS::NoValue' }, list: [{ Ref: 'AWS::NoValue' }, 2] }),
    ).toEqual({ keep: 1, list: [2] });
  });

  test("IAM's own variables are left alone", () => {
    expect(resolve('Data', 'tenant/${aws:PrincipalTag/TenantId}/*')).toBe(
      'tenant/${aws:PrincipalTag/TenantId}/*',
    );
  });

  test('an unknown function, resource or export is an error, not an empty text', () => {
    expect(() => resolve('Data', { 'Fn::Transform': {} })).toThrow('does not know Fn::Transform');
    expect(() => resolve('Data', { Ref: 'Missing' })).toThrow('no resource Missing');
    expect(() => resolve('Api', { 'Fn::ImportValue': 'Nothing' })).toThrow('No stack exports Nothing');
  });

  test('names stay the same between runs and fit S3', () => {
    const long = resource('CatteryData', 'A'.repeat(80), 'AWS::S3::Bucket');
    expect(physicalNames.ref(long)).toBe(physicalNames.ref({ ...long }));
    expect(physicalNames.ref(long).length).toBeLessThanOrEqual(63);
    expect(physicalNames.ref(long)).not.toBe(physicalNames.ref({ ...long, logicalId: `${'A'.repeat(79)}B` }));
  });
});
