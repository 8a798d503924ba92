import { defaultImagePolicy } from '../../../core/image/image-policy-schema.ts';
import { merge } from '../../../core/image/image-merge.ts';
import { readyRules, type TenantRules } from '../../../core/image/image-rules.ts';
import type { Finding } from '../../../core/image/image-schema.ts';
import type { ScannedImage } from '../../../core/image/scanned-image.ts';
import type { Dependencies } from '../../../functions/image-scan/deps.ts';

type Stores = Pick<
  Dependencies,
  | 'images'
  | 'names'
  | 'cards'
  | 'pages'
  | 'history'
  | 'changes'
  | 'rules'
  | 'reports'
  | 'clusters'
  | 'retentionMs'
>;

/** Stores of one tenant that remember what they are given, in the order in which they are asked. */
export class MemoryImages {
  readonly images = new Map<string, ScannedImage>();
  readonly reports: { readonly about: string; readonly sha256: string }[] = [];
  readonly pages = new Map<string, readonly Finding[]>();
  rules: TenantRules = { revision: 0, policy: defaultImagePolicy, exceptions: [], statements: [] };
  /** Clusters that there are. */
  readonly clusters = new Set<string>();
  /** What was written, each as `<store> <digest>`. */
  readonly writes: string[] = [];
  /** Throws what a write is to fail with. */
  failing: (write: string) => void = () => undefined;

  readonly stores: Stores = {
    images: {
      find: (_tenant, digest) => Promise.resolve(this.images.get(digest)),
      list: (_tenant, { limit, after = '' }) => {
        const all = [...this.images.values()].filter(({ digest }) => digest > after);
        return Promise.resolve({ images: all.slice(0, limit), more: all.length > limit });
      },
      findMany: (_tenant, digests) =>
        Promise.resolve(digests.flatMap((digest) => this.images.get(digest) ?? [])),
      keep: (_tenant, digest, upload, { recorded }) =>
        this.#write(`images ${digest}`, () => {
          const before = this.images.get(digest);
          const merged = merge(before, digest, upload);
          if (merged === 'TOO_MANY') throw new Error('too many scanners');
          const judged = recorded(before, merged.image);
          const image = judged ? { ...merged.image, recorded: judged } : merged.image;
          this.images.set(digest, image);
          return { kept: merged.isLatest, image, history: judged?.changes ?? [] };
        }),
    },
    names: { keep: (_tenant, { digest }) => this.#write(`names ${digest}`) },
    cards: {
      keep: (_tenant, { digest }) => this.#write(`cards ${digest}`, () => true),
      matching: () => Promise.reject(new Error('nobody searches here')),
    },
    pages: {
      write: (_tenant, { digest, scannerName }, findings) =>
        this.#write(`pages ${digest}`, () => {
          this.pages.set(`${digest} ${scannerName}`, findings);
          return Math.ceil(findings.length / 250);
        }),
      page: (_tenant, { digest, scannerName }, page) =>
        Promise.resolve(this.pages.get(`${digest} ${scannerName}`)?.slice(page * 250, (page + 1) * 250)),
      delete: (_tenant, { digest }) => this.#write(`deletion ${digest}`),
    },
    history: {
      keep: (_tenant, digest) => this.#write(`history ${digest}`),
      list: () => Promise.resolve({ changes: [] }),
    },
    changes: { note: (_tenant, digest) => this.#write(`change ${digest}`) },
    rules: {
      ready: () => Promise.resolve(readyRules(this.rules)),
      find: () => Promise.resolve(this.rules),
      change: (_tenant, change) =>
        this.#write('rules', () => {
          this.rules = change(this.rules);
          return this.rules;
        }),
    },
    reports: {
      keep: (_tenant, { about, sha256 }) =>
        this.#write(`report ${about}`, () => {
          this.reports.push({ about, sha256 });
          return `tenant/scans/${about}/${sha256}.json.gz`;
        }),
    },
    clusters: {
      find: (_tenant, clusterId) =>
        Promise.resolve(
          this.clusters.has(clusterId)
            ? ({ clusterId } as Awaited<ReturnType<Stores['clusters']['find']>>)
            : undefined,
        ),
    },
    retentionMs: 400 * 86_400_000,
  };

  #write(what: string): Promise<void>;
  #write<Answer>(what: string, work: () => Answer): Promise<Answer>;
  #write(what: string, work: () => unknown = () => undefined): Promise<unknown> {
    try {
      this.failing(what);
      this.writes.push(what);
      return Promise.resolve(work());
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
  }
}
