import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { writePrivateFile } from '../aws/private-file.ts';

/** Where the stack keeps everything unless told otherwise. */
export const standardDirectory = '.local';

/** `.local/stack.json`: what scripts and checks need of a running stack; removed when it stops. */
export const stackState = z.object({
  apiUrl: z.string(),
  accessUrl: z.string(),
  tunnelAddress: z.string(),
  caFile: z.string(),
  adminToken: z.string(),
  tenantId: z.string(),
  /** null: without a demo cluster. */
  demoClusterId: z.string().nullable(),
});
export type StackState = z.infer<typeof stackState>;

const operatorAccess = z.object({
  endpoint: z.string(),
  region: z.string(),
  functionName: z.string(),
  credentials: z.object({ accessKeyId: z.string(), secretAccessKey: z.string(), sessionToken: z.string() }),
});

const files = (directory: string) => ({
  stack: path.join(directory, 'stack.json'),
  operator: path.join(directory, 'operator.json'),
});

/** Both files hold credentials: 0600, whole or not at all. */
export async function writeState(
  directory: string,
  state: StackState,
  operator: z.infer<typeof operatorAccess>,
): Promise<void> {
  await writePrivateFile(files(directory).operator, JSON.stringify(operator));
  await writePrivateFile(files(directory).stack, `${JSON.stringify(state, null, 2)}\n`);
}

export async function removeState(directory: string): Promise<void> {
  await Promise.all(Object.values(files(directory)).map((file) => rm(file, { force: true })));
}

/** What the running stack wrote; undefined when none is running (or it was killed and left nothing that answers). */
export async function readState(directory: string) {
  try {
    const [stack, operator] = await Promise.all([
      readFile(files(directory).stack, 'utf8'),
      readFile(files(directory).operator, 'utf8'),
    ]);
    return {
      stack: stackState.parse(JSON.parse(stack)),
      operator: operatorAccess.parse(JSON.parse(operator)),
    };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
