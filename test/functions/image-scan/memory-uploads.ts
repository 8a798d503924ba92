import { setTimeout } from 'node:timers/promises';
import type { Dependencies } from '../../../functions/image-scan/deps.ts';
import type { UploadRecord } from '../../../functions/image-scan/scan-upload-repository.ts';

/** Uploads of one tenant in memory, put to `<storage>/<uploadId>`, for whoever listens there. */
export class MemoryUploads {
  readonly #records = new Map<string, UploadRecord>();
  /** What was put. */
  readonly objects = new Map<string, Buffer>();
  readonly #storage: () => string;

  constructor(storage: () => string) {
    this.#storage = storage;
  }

  readonly stores: Pick<Dependencies, 'uploads' | 'uploaded' | 'uploadFollowers' | 'wait'> = {
    uploads: {
      create: (_tenant, order) => {
        this.#records.set(order.uploadId, { ...order, state: 'waiting', attempts: 0, leaseUntil: 0 });
        return Promise.resolve();
      },
      find: (_tenant, uploadId) => Promise.resolve(this.#records.get(uploadId)),
      claim: (_tenant, uploadId, { leaseUntil }) =>
        Promise.resolve(
          this.#change(uploadId, 'waiting', ({ attempts }) => ({
            state: 'processing',
            attempts: attempts + 1,
            leaseUntil,
          })),
        ),
      release: (_tenant, { uploadId }) => {
        this.#change(uploadId, 'processing', () => ({ state: 'waiting' }));
        return Promise.resolve();
      },
      finish: (_tenant, uploadId, outcome) =>
        Promise.resolve(this.#change(uploadId, 'processing', () => outcome) !== undefined),
    },
    uploaded: {
      presign: (_tenant, uploadId, { contentLength, sha256, seconds, now }) =>
        Promise.resolve({
          url: `${this.#storage()}/${uploadId}?X-Amz-Signature=00&x=%2F`,
          headers: {
            'Content-Length': String(contentLength),
            'Content-Type': 'application/json',
            'x-amz-checksum-sha256': Buffer.from(sha256, 'hex').toString('base64'),
          },
          until: now + seconds * 1_000,
        }),
      read: (_tenant, uploadId) => Promise.resolve(this.objects.get(uploadId)),
    },
    uploadFollowers: { enter: () => Promise.resolve(true), leave: () => Promise.resolve() },
    wait: () => setTimeout(10),
  };

  #change(
    uploadId: string,
    state: UploadRecord['state'],
    changed: (record: UploadRecord) => Partial<UploadRecord>,
  ): UploadRecord | undefined {
    const record = this.#records.get(uploadId);
    if (record?.state !== state) return undefined;
    const next = { ...record, ...changed(record) };
    this.#records.set(uploadId, next);
    return next;
  }
}
