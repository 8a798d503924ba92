import { expect, test } from '@jest/globals';
import { functionLimits } from '../../../bench/scan/scan-function.ts';
import { synthesise } from '../../lib/synthesis.ts';

test('uploads are measured against the seconds and megabytes that the function is deployed with', async () => {
  const functions = Object.entries((await synthesise()).resources('AWS::Lambda::Function'));
  const [, deployed] = functions.find(([id]) => id.startsWith('ImageScanFunction')) ?? [];
  expect(deployed?.Properties).toMatchObject({
    Timeout: functionLimits.seconds,
    MemorySize: functionLimits.megabytes,
  });
});
