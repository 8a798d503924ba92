import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { FunctionRunner } from '../../../local/function/function-runner.ts';
import type { FunctionSpec } from '../../../local/template/compute.ts';

const bundle = `
let served = 0;
export const handler = async (event, context) => {
  served += 1;
  if (event.hang) await new Promise(() => setInterval(() => {}, 1000));
  if (event.crash) process.exit(3);
  if (event.fail) throw new TypeError('no such thing');
  if (event.answer) return 'ä'.repeat(event.answer);
  if (event.wait) await new Promise((resolve) => setTimeout(resolve, event.wait));
  console.log('served ' + served);
  return { served, pid: process.pid, table: process.env.TABLE, region: process.env.AWS_REGION, home: process.env.HOME ?? null,
    id: context.awsRequestId, left: context.getRemainingTimeInMillis(), memory: process.execArgv };
};`;

describe('the function runner runs a bundle as Lambda does', () => {
  let directory: string;
  let runner: FunctionRunner;
  let spec: FunctionSpec;

  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'function-runner-'));
    await writeFile(path.join(directory, 'index.mjs'), bundle);
    spec = {
      name: 'sample',
      logicalId: 'Sample',
      arn: 'arn:sample',
      roleArn: 'arn:role',
      code: directory,
      handler: 'index.handler',
      environment: { TABLE: 'things' },
      timeoutMs: 1_500,
      reachesInternet: false,
      memoryMb: 128,
    };
    runner = new FunctionRunner({
      functions: [spec],
      platformEnvironment: () => ({ AWS_REGION: 'us-east-1' }),
      logDirectory: directory,
      maxConcurrency: 2,
    });
  });

  afterEach(async () => {
    await runner.close();
    await rm(directory, { recursive: true, force: true });
  });

  const invoke = async (event: object) => {
    const result = await runner.invoke(spec.arn, event);
    return 'value' in result ? (result.value as Record<string, unknown>) : result;
  };

  test("with the template's environment, memory and a context, and nothing of this process's environment", async () => {
    const answer = await invoke({});
    expect(answer).toMatchObject({ served: 1, table: 'things', region: 'us-east-1', home: null });
    expect(answer).toHaveProperty('memory', expect.arrayContaining(['--max-old-space-size=128']));
    expect(Number((answer as { left: unknown }).left)).toBeGreaterThan(500);
  });

  test('an environment is reused for the next event, and two events at once get two', async () => {
    const first = await invoke({});
    expect(await invoke({})).toMatchObject({ served: 2, pid: (first as { pid: unknown }).pid });
    const both = (await Promise.all([invoke({ wait: 100 }), invoke({ wait: 100 })])) as { pid: number }[];
    expect(new Set(both.map(({ pid }) => pid)).size).toBe(2);
  });

  test('more events than environments wait for their turn', async () => {
    const all = await Promise.all(Array.from({ length: 7 }, () => invoke({ wait: 10 })));
    expect(new Set(all.map((answer) => (answer as { pid: number }).pid)).size).toBeLessThanOrEqual(2);
  });

  test("what the function throws is the invocation's error", async () => {
    expect(await invoke({ fail: true })).toMatchObject({
      error: { errorType: 'TypeError', errorMessage: 'no such thing' },
    });
  });

  test('an answer of up to 6 MiB comes whole, a larger one is the error that Lambda makes of it', async () => {
    const result = (characters: number) => runner.invoke(spec.arn, { answer: characters });
    // Two bytes each, and the quotes around them.
    const whole = await result(3_145_777);
    expect('value' in whole && whole.value === 'ä'.repeat(3_145_777)).toBe(true);
    expect(await result(3_145_778)).toMatchObject({ error: { errorType: 'Function.ResponseSizeTooLarge' } });
    expect(await invoke({})).toMatchObject({ served: 3 });
  });

  test('a function over its timeout is killed, and the next event finds a new environment', async () => {
    expect(await invoke({ hang: true })).toMatchObject({ error: { errorType: 'Sandbox.Timedout' } });
    expect(await invoke({})).toMatchObject({ served: 1 });
  });

  test('a function that exits is an error, and the next event finds a new environment', async () => {
    expect(await invoke({ crash: true })).toMatchObject({ error: { errorType: 'Runtime.ExitError' } });
    expect(await invoke({})).toMatchObject({ served: 1 });
  });

  test('a bundle that cannot be loaded is an error of the invocation', async () => {
    await writeFile(path.join(directory, 'index.mjs'), 'throw new Error("broken bundle")');
    expect(await invoke({})).toMatchObject({ error: { errorType: 'Runtime.ImportModuleError' } });
  });

  test("what the function prints is in the function's log", async () => {
    await invoke({});
    await runner.close();
    expect(await readFile(path.join(directory, 'Sample.log'), 'utf8')).toContain('served 1');
  });
});
