import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';

/**
 * What is stored, in order: a full bundle, then the deltas since. The parts are the signed texts as they came, so that
 * what is read back is verified as what came over the network.
 */
const index = z.object({
  format: z.literal(1),
  /** Of the newest bundle. */
  etag: z.string().optional(),
  /** When the control plane last said that this is all, epoch milliseconds. */
  checkedAt: z.number(),
  bundles: z.array(z.object({ files: z.array(z.string()).min(1), bytes: z.number() })).min(1),
});
export type StoredIndex = z.infer<typeof index>;
type StoredBundle = StoredIndex['bundles'][number];

const indexFile = 'bundle.json';
/** What is swept away when it does not count: nothing that this has not written. */
const partPattern = /^[0-9a-f]{16}-\d{4,}\.jws$/;

/**
 * The last good bundle, on a disk that outlives the process. `bundle.json` names the files that count and is replaced
 * whole, so that a reader finds one state or the next; files that it does not name are left-overs.
 */
export class BundleStore {
  readonly #directory: string;
  #index: StoredIndex | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** What is stored; undefined: nothing that can be read. */
  async open(): Promise<StoredIndex | undefined> {
    await mkdir(this.#directory, { recursive: true });
    try {
      this.#index = index.parse(JSON.parse(await readFile(path.join(this.#directory, indexFile), 'utf8')));
    } catch {
      this.#index = undefined;
    }
    await this.#sweep();
    return this.#index;
  }

  /** One part of a stored bundle. */
  read(file: string): Promise<string> {
    return readFile(path.join(this.#directory, path.basename(file)), 'utf8');
  }

  /** A place for the parts of a bundle that is being fetched: they do not count before `commit`. */
  stage(): Staged {
    const id = randomBytes(8).toString('hex');
    const files: string[] = [];
    let bytes = 0;
    return {
      add: async (jws) => {
        const file = `${id}-${String(files.length).padStart(4, '0')}.jws`;
        await writeFile(path.join(this.#directory, file), jws, { flush: true, mode: 0o600 });
        files.push(file);
        bytes += jws.length;
      },
      commit: async ({ kind, etag, checkedAt }) => {
        const before: readonly StoredBundle[] = kind === 'delta' ? (this.#index?.bundles ?? []) : [];
        await this.#replace({
          format: 1,
          ...(etag === undefined ? {} : { etag }),
          checkedAt,
          bundles: [...before, { files, bytes }],
        });
        if (kind === 'full') await this.#sweep();
      },
      discard: async () => {
        for (const file of files) await rm(path.join(this.#directory, file), { force: true });
      },
    };
  }

  /** Keeps the first `count` bundles only: what follows cannot be read. */
  async keepFirst(count: number): Promise<void> {
    if (!this.#index) return;
    const { etag: _, ...rest } = this.#index;
    await this.#replace({ ...rest, bundles: rest.bundles.slice(0, count) });
    await this.#sweep();
  }

  /** The control plane says that nothing is new. */
  async confirm(checkedAt: number): Promise<void> {
    if (this.#index) await this.#replace({ ...this.#index, checkedAt });
  }

  /** Whether the deltas have outgrown the full bundle, so that asking for a new one costs less than keeping them. */
  get isOvergrown(): boolean {
    const [full, ...deltas] = this.#index?.bundles ?? [];
    if (!full) return false;
    const bytes = deltas.reduce((sum, each) => sum + each.bytes, 0);
    return deltas.length >= maxDeltas || bytes > Math.max(full.bytes, overgrownBytes);
  }

  async #replace(fresh: StoredIndex): Promise<void> {
    const beside = path.join(this.#directory, `.${indexFile}`);
    await writeFile(beside, JSON.stringify(fresh), { flush: true, mode: 0o600 });
    await rename(beside, path.join(this.#directory, indexFile));
    this.#index = fresh;
  }

  async #sweep(): Promise<void> {
    const named = new Set(this.#index?.bundles.flatMap(({ files }) => files));
    for (const file of await readdir(this.#directory)) {
      if (partPattern.test(file) && !named.has(file))
        await rm(path.join(this.#directory, file), { force: true });
    }
  }
}

const overgrownBytes = 4 * 1_048_576;
const maxDeltas = 1_000;

export type Staged = {
  readonly add: (jws: string) => Promise<void>;
  /** From now on it counts: alone if it is full, else behind what is stored. */
  readonly commit: (bundle: {
    readonly kind: 'full' | 'delta';
    readonly etag: string | undefined;
    readonly checkedAt: number;
  }) => Promise<void>;
  readonly discard: () => Promise<void>;
};
