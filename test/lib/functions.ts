import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { functionLimits } from '../../bench/scan/scan-function.ts';
import { followMs } from '../../functions/registration/show-progress.ts';
import { synthesise, type Synthesis } from './synthesis.ts';

describe('every function, log group and alarm', () => {
  let synthesis: Synthesis;
  beforeAll(async () => {
    synthesis = await synthesise();
  });
  const properties = (type: string) =>
    Object.values(synthesis.resources(type)).map((resource) => resource.Properties);

  test('functions run on nodejs24.x and arm64, and log JSON where ours, into a group that ends', () => {
    const functions = properties('AWS::Lambda::Function');
    const groups = synthesis.resources('AWS::Logs::LogGroup');
    // Eight of ours, and the CDK's own behind the triggers of two stacks.
    expect(functions).toHaveLength(10);
    for (const { Runtime, Architectures, LoggingConfig, Handler } of functions) {
      expect({ Runtime, Architectures }).toEqual({ Runtime: 'nodejs24.x', Architectures: ['arm64'] });
      const { LogFormat, LogGroup } = LoggingConfig as { LogFormat?: string; LogGroup: { Ref: string } };
      expect(Object.keys(groups)).toContain(LogGroup.Ref);
      if (Handler === 'index.handler' && LogFormat) expect(LogFormat).toBe('JSON');
    }
    expect(
      functions.filter(({ LoggingConfig }) => (LoggingConfig as { LogFormat?: string }).LogFormat),
    ).toHaveLength(8);
  });

  test('functions of the API answer before the gateway gives up after 29 s', () => {
    for (const { Properties } of Object.values(synthesis.resources('AWS::Lambda::Function', 'api'))) {
      const { Handler, Description } = Properties;
      // Neither the CDK's own behind the trigger nor those that no request waits for.
      if (Handler !== 'index.handler' || /invoked directly|scheduled/.test(String(Description))) continue;
      expect(Properties.Timeout).toBeLessThan(29);
    }
  });

  test('who follows a cluster’s progress is answered before its function’s time is over, with 4 s to spare', () => {
    const [registration] = Object.values(synthesis.resources('AWS::Lambda::Function', 'api')).filter(
      ({ Properties }) => String(Properties.Description).includes('registration tokens'),
    );
    expect(Number(registration?.Properties.Timeout) * 1_000 - followMs).toBeGreaterThanOrEqual(4_000);
  });

  test('log groups end: ours, the API’s access log and the execution log that the gateway would make by itself', () => {
    const groups = properties('AWS::Logs::LogGroup');
    for (const { RetentionInDays } of groups) expect(RetentionInDays).toBe(90);
    expect(JSON.stringify(groups)).toContain('API-Gateway-Execution-Logs_');
    // Functions, triggers, tunnel server, access log, execution log.
    expect(groups).toHaveLength(13);
  });

  test('each function has an alarm for when it fails and one for when it logs an error', () => {
    const alarms = properties('AWS::CloudWatch::Alarm').map((alarm) => String(alarm.AlarmDescription));
    for (const role of [
      'admission',
      'certificates',
      'image-scan',
      'install-assets',
      'operator',
      'registration',
      'release-mirror',
    ]) {
      expect(alarms.filter((text) => text.startsWith(`The function ${role} `))).toHaveLength(2);
    }
    const patterns = properties('AWS::Logs::MetricFilter').map(({ FilterPattern }) => FilterPattern);
    expect(patterns.filter((pattern) => pattern === '{ $.level = "ERROR" }')).toHaveLength(7);
    expect(patterns).toHaveLength(8);
  });

  test('a bad token, which the authorizer can refuse only by throwing, rings no alarm', () => {
    const ofAuthorizer = properties('AWS::CloudWatch::Alarm').filter(({ AlarmDescription }) =>
      String(AlarmDescription).startsWith('The function authorizer '),
    );
    expect(ofAuthorizer.map(({ Namespace }) => Namespace)).toEqual(['Cattery']);
    const own = properties('AWS::Logs::MetricFilter').filter(({ MetricTransformations }) =>
      JSON.stringify(MetricTransformations).includes('authorizer-errors'),
    );
    expect(own.map(({ FilterPattern }) => FilterPattern)).toEqual([
      '{ ($.level = "ERROR") && ($.service = "authorizer") }',
    ]);
  });

  test('each alarm has its heading in the runbook, and each heading of an alarm its alarm', () => {
    const runbook = readFileSync(path.join(import.meta.dirname, '../../docs/runbook.md'), 'utf8');
    const headings = [...runbook.matchAll(/^## (.+)$/gm)].map(([, title = '']) =>
      title.toLowerCase().replaceAll(' ', '-'),
    );
    const linked = properties('AWS::CloudWatch::Alarm').map(
      ({ AlarmDescription }) => /docs\/runbook\.md#([a-z0-9-]+)$/.exec(String(AlarmDescription))?.[1],
    );
    expect([...new Set(linked)].sort()).toEqual(headings.sort());
  });

  test('uploads are measured against the seconds and megabytes that image-scan is deployed with', () => {
    const functions = Object.entries(synthesis.resources('AWS::Lambda::Function'));
    const [, deployed] = functions.find(([id]) => id.startsWith('ImageScanFunction')) ?? [];
    expect(deployed?.Properties).toMatchObject({
      Timeout: functionLimits.seconds,
      MemorySize: functionLimits.megabytes,
    });
  });

  test('alarms notify nobody, or the topic of the settings', async () => {
    for (const { AlarmActions } of properties('AWS::CloudWatch::Alarm')) expect(AlarmActions).toBeUndefined();
    const alarmTopicArn = 'arn:aws:sns:eu-west-1:111122223333:oncall';
    const notifying = await synthesise({ alarmTopicArn });
    const alarms = Object.values(notifying.resources('AWS::CloudWatch::Alarm'));
    expect(alarms.length).toBeGreaterThan(0);
    for (const { Properties } of alarms) expect(Properties.AlarmActions).toEqual([alarmTopicArn]);
  });
});
