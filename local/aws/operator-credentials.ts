import * as z from 'zod';
import { newCredentials } from './sessions.ts';
import type { Credentials } from './sessions.ts';
import { readIfPresent, writePrivateFile } from './private-file.ts';

const schema = z.object({ accessKeyId: z.string(), secretAccessKey: z.string(), sessionToken: z.string() });

/** The operator's credentials of this data directory: made once, kept in a file that only its owner can read. */
export async function operatorCredentials(file: string): Promise<Credentials> {
  const kept = await readIfPresent(file);
  if (kept !== undefined) return schema.parse(JSON.parse(kept));
  const credentials = newCredentials();
  await writePrivateFile(file, JSON.stringify(credentials));
  return credentials;
}
