import { createHash, randomInt, randomUUID } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { AwsError } from '../aws-error.ts';
import { readIfPresent, writePrivateFile } from '../private-file.ts';
import type { SecretSpec } from '../specs.ts';
import { Turns } from '../turns.ts';

const versionSchema = z.object({
  id: z.string(),
  stages: z.array(z.string()),
  /** Epoch milliseconds. */
  createdAt: z.number(),
  secretString: z.string().optional(),
  /** Base64. */
  secretBinary: z.string().optional(),
});
const storedSchema = z.object({ arn: z.string(), createdAt: z.number(), versions: z.array(versionSchema) });

export type SecretVersion = z.infer<typeof versionSchema>;
export type StoredSecret = z.infer<typeof storedSchema>;
export type SecretContent = Pick<SecretVersion, 'secretString' | 'secretBinary'>;

/** Versions without a staging label are kept for a while, newest first. */
const unlabelledKept = 20;
const alphanumerics = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** The template's secrets, one file each (0600), replaced whole at every change. */
export class SecretStore {
  private readonly secrets = new Map<string, StoredSecret>();
  private readonly turns = new Turns();
  private readonly dataDir: string;
  private readonly now: () => number;

  private constructor(dataDir: string, now: () => number) {
    this.dataDir = dataDir;
    this.now = now;
  }

  static async open(dataDir: string, specs: readonly SecretSpec[], now: () => number): Promise<SecretStore> {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    const store = new SecretStore(dataDir, now);
    for (const spec of specs) {
      const file = store.file(spec.arn);
      const found = await readIfPresent(file);
      if (found === undefined) {
        await store.keep({ arn: spec.arn, createdAt: now(), versions: [] });
        if (spec.generated)
          await store.put(spec.arn, { secretString: randomPassword() }, randomUUID(), ['AWSCURRENT']);
      } else {
        await chmod(file, 0o600);
        store.secrets.set(spec.arn, storedSchema.parse(JSON.parse(found)));
      }
    }
    return store;
  }

  find(arn: string): StoredSecret {
    const secret = this.secrets.get(arn);
    if (!secret)
      throw new AwsError('ResourceNotFoundException', "Secrets Manager can't find the specified secret.");
    return secret;
  }

  /**
   * Adds a version and moves the labels to it; the version that was AWSCURRENT becomes AWSPREVIOUS. The same id with the same
   * content again changes nothing; with other content it throws ResourceExistsException. Resolves when it is on disk.
   */
  async put(
    arn: string,
    content: SecretContent,
    id: string,
    stages: readonly string[],
  ): Promise<SecretVersion> {
    return this.turns.take(arn, async () => {
      const secret = this.find(arn);
      const same = secret.versions.find((version) => version.id === id);
      if (same) {
        if (same.secretString === content.secretString && same.secretBinary === content.secretBinary)
          return same;
        throw new AwsError(
          'ResourceExistsException',
          `You can't use ClientRequestToken ${id} because that value is already in use for a version of secret ${arn}.`,
        );
      }
      const added: SecretVersion = { id, stages: [...stages], createdAt: this.now(), ...content };
      const demotes = stages.includes('AWSCURRENT');
      const others = secret.versions.map((version) => {
        const left = version.stages.filter(
          (stage) => !stages.includes(stage) && !(demotes && stage === 'AWSPREVIOUS'),
        );
        const wasCurrent =
          demotes && version.stages.includes('AWSCURRENT') && !stages.includes('AWSPREVIOUS');
        return { ...version, stages: wasCurrent ? [...left, 'AWSPREVIOUS'] : left };
      });
      let unlabelled = 0;
      const versions = [added, ...others].filter(
        (version) => version.stages.length > 0 || ++unlabelled <= unlabelledKept,
      );
      await this.keep({ ...secret, versions });
      return added;
    });
  }

  private async keep(secret: StoredSecret): Promise<void> {
    await writePrivateFile(this.file(secret.arn), JSON.stringify(secret));
    this.secrets.set(secret.arn, secret);
  }

  private file(arn: string): string {
    return path.join(this.dataDir, `${createHash('sha256').update(arn).digest('hex')}.json`);
  }
}

const randomPassword = (): string =>
  Array.from({ length: 32 }, () => alphanumerics[randomInt(alphanumerics.length)]).join('');
