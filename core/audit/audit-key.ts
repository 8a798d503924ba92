import { tenantPrefix } from '../tenant/tenant-partition.ts';

/** Where in the log bucket a piece of a chain stands. */
export type AuditPlace = {
  readonly tenantId: string;
  /** `YYYY-MM-DD`, UTC: the day of every record in it. */
  readonly date: string;
  readonly taskId: string;
  /** `seq` of its first record. */
  readonly firstSeq: number;
};

const seqDigits = 12;
const taskIdPattern = /^[a-z0-9-]{1,64}$/;
const tail = /(?:^|\/)date=(\d{4}-\d{2}-\d{2})\/([a-z0-9-]{1,64})\/(\d{12})\.ndjson\.gz$/;

/** S3 key prefix of a tenant's audit trail, of one day where it is given. */
export const auditPrefix = (tenantId: string, date?: string): string =>
  `${tenantPrefix(tenantId)}audit/${date === undefined ? '' : `date=${date}/`}`;

/** Numbers are padded: listed in the order of their names, the objects of a task are in the order of its chain. */
export function auditKey({ tenantId, date, taskId, firstSeq }: AuditPlace): string {
  if (!taskIdPattern.test(taskId)) throw new TypeError('not a task ID');
  const seq = String(firstSeq).padStart(seqDigits, '0');
  return `${auditPrefix(tenantId, date)}${taskId}/${seq}.ndjson.gz`;
}

/** Reads the end of a key, or of the path of a file that was downloaded; undefined for anything else. */
export function parseAuditKey(
  key: string,
): (Omit<AuditPlace, 'tenantId'> & { tenantId?: string }) | undefined {
  const [, date, taskId, seq] = tail.exec(key) ?? [];
  if (date === undefined || taskId === undefined || seq === undefined) return undefined;
  const tenantId = /(?:^|\/)tenant\/(t-[a-z2-7]{20})\/audit\//.exec(key)?.[1];
  return { date, taskId, firstSeq: Number(seq), ...(tenantId === undefined ? {} : { tenantId }) };
}
