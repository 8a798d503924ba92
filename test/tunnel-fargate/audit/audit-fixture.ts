import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { auditKey } from '../../../core/audit/audit-key.ts';
import type { AuditRecord } from '../../../core/audit/audit-record.ts';
import { type TrailObject } from '../../../scripts/audit-verification.ts';
import type { AuditObject } from '../../../tunnel-fargate/audit/audit-repository.ts';

export const tenantA = `t-${'a'.repeat(20)}`;
export const tenantB = `t-${'b'.repeat(20)}`;

/** Audit objects in memory, as S3 keeps them: what is there is not written over. */
export class FakeAuditSink {
  readonly objects: AuditObject[] = [];
  readonly attempts: AuditObject[] = [];
  /** Of each attempt: S3 refuses it, or takes it while its answer is lost. */
  fault: () => 'refused' | 'lost' | undefined = () => undefined;

  async put(object: AuditObject): Promise<void> {
    this.attempts.push(object);
    await Promise.resolve();
    const fault = this.fault();
    if (fault === 'refused') throw new Error('S3 does not answer');
    const key = auditKey(object);
    if (!this.objects.some((other) => auditKey(other) === key)) this.objects.push(object);
    if (fault === 'lost') throw new Error('the answer was lost');
  }

  /** Every record that has been put, in order. */
  get records(): AuditRecord[] {
    return recordsOf(this.objects);
  }
}

export const linesOf = ({ body }: Pick<AuditObject, 'body'>): string[] =>
  gunzipSync(body).toString().trimEnd().split('\n');

export const recordsOf = (objects: readonly AuditObject[]): AuditRecord[] =>
  objects.flatMap((object) => linesOf(object).map((line) => JSON.parse(line) as AuditRecord));

export const trailOf = (objects: readonly AuditObject[]): TrailObject[] =>
  objects.map((object) => ({ key: auditKey(object), read: () => Promise.resolve(object.body) }));

/** Polls for a condition. */
export async function until(condition: () => boolean, ms = 10_000): Promise<void> {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${condition.toString()}`);
    await delay(5);
  }
}
