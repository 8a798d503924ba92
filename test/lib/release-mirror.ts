import { beforeAll, describe, expect, test } from '@jest/globals';
import { reachesInternet } from '../../lib/function-metadata.ts';
import { synthesise, type Synthesis } from './synthesis.ts';

type Invoked = { HandlerArn?: { Ref: string }; InvocationType?: string };

describe('the mirror of upstream’s manifests', () => {
  let synthesis: Synthesis;
  let functionId: string;
  beforeAll(async () => {
    synthesis = await synthesise();
    functionId =
      Object.keys(synthesis.resources('AWS::Lambda::Function', 'api')).find((id) =>
        id.startsWith('ReleaseMirrorFunction'),
      ) ?? '';
  });

  test('runs once at a deployment that does not wait for it: upstream may be away', () => {
    const triggers = Object.values(synthesis.resources('Custom::Trigger', 'api'));
    expect(triggers.map(({ Properties }) => (Properties as Invoked).InvocationType)).toEqual(['Event']);
    const [trigger] = triggers;
    const version = (trigger?.Properties as Invoked).HandlerArn?.Ref ?? '';
    expect(synthesis.resources('AWS::Lambda::Version', 'api')[version]?.Properties).toMatchObject({
      FunctionName: { Ref: functionId },
    });
    expect(trigger?.DeletionPolicy).toBe('Retain');
  });

  test('and every day, with two more attempts', () => {
    const rules = Object.values(synthesis.resources('AWS::Events::Rule', 'api')).filter(
      ({ Properties }) => Properties.ScheduleExpression !== undefined,
    );
    expect(rules.map(({ Properties }) => Properties)).toEqual([
      expect.objectContaining({
        ScheduleExpression: 'rate(1 day)',
        State: 'ENABLED',
        Targets: [
          expect.objectContaining({
            Arn: { 'Fn::GetAtt': [functionId, 'Arn'] },
            RetryPolicy: { MaximumRetryAttempts: 2 },
          }),
        ],
      }),
    ]);
  });

  test('is the only function that says it reaches the internet, and knows nothing but its bucket', () => {
    const functions = Object.entries(
      synthesis.resources('AWS::Lambda::Function') as unknown as Record<
        string,
        { Metadata?: Record<string, unknown>; Properties: { Environment?: { Variables: object } } }
      >,
    );
    expect(functions.filter(([, { Metadata }]) => Metadata?.[reachesInternet]).map(([id]) => id)).toEqual([
      functionId,
    ]);
    const own = functions.find(([id]) => id === functionId)?.[1].Properties.Environment?.Variables ?? {};
    expect(Object.keys(own)).toEqual(['ASSETS_BUCKET']);
  });
});
