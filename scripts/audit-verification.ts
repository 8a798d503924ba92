import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import * as z from 'zod';
import { parseAuditKey } from '../core/audit/audit-key.ts';
import { genesis, hashOf } from '../core/audit/audit-record.ts';

/** An object of a trail, wherever it lies. */
export type TrailObject = {
  /** Its key in the bucket, or the path of the file that it was downloaded to. */
  readonly key: string;
  readonly read: () => Promise<Uint8Array>;
};

/** What is wrong. The codes are for programs. */
export const faultCodes = {
  UNREADABLE: 'cannot be read',
  MISPLACED: 'stands under another name than its records give it',
  ALTERED: 'was altered: its hash is another',
  UNLINKED: 'does not follow the record before it: one of the two was altered or replaced',
  MISSING: 'records are missing',
  REPEATED: 'stands there twice, or out of its order',
  BACKDATED: 'is earlier than the record before it',
  UNENDED: 'a day goes over into the next without the marker of its end',
  AFTER_END: 'comes after the marker of its chain’s end',
} as const;
export type FaultCode = keyof typeof faultCodes;

export type Fault = { readonly code: FaultCode; readonly where: string; readonly text: string };

/** How the last record ends its chain: for good, for its day, or not at all. */
export type ChainEnd = 'closed' | 'day-end' | 'open';

export type ChainReport = {
  readonly tenantId: string;
  readonly taskId: string;
  readonly days: readonly string[];
  readonly objects: number;
  readonly records: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** Hash of the last record: kept elsewhere, it proves later that nothing was cut off here. */
  readonly head: string;
  /** The chain's very first record is among them. */
  readonly fromStart: boolean;
  readonly end: ChainEnd;
  readonly faults: readonly Fault[];
};

const line = z.looseObject({
  v: z.literal(1),
  tenantId: z.string(),
  taskId: z.string(),
  seq: z.int().min(1),
  time: z.iso.datetime(),
  phase: z.string(),
  prev: z.string(),
  hash: z.string(),
});
type Line = z.infer<typeof line>;

const gunzipped = promisify(gunzip);

type Placed = { readonly object: TrailObject; readonly place: NonNullable<ReturnType<typeof parseAuditKey>> };

/**
 * Checks every chain that the objects hold, each by itself. What is no part of a trail (by its name) is not looked at.
 * Rejects only when an object cannot be fetched.
 */
export async function verifyTrail(objects: readonly TrailObject[]): Promise<readonly ChainReport[]> {
  const chains = new Map<string, Placed[]>();
  for (const object of objects) {
    const place = parseAuditKey(object.key);
    if (!place) continue;
    const key = `${place.tenantId ?? ''} ${place.taskId}`;
    const known = chains.get(key);
    if (known) known.push({ object, place });
    else chains.set(key, [{ object, place }]);
  }
  const reports: ChainReport[] = [];
  for (const [, placed] of [...chains].sort(([a], [b]) => (a < b ? -1 : 1))) {
    reports.push(await verifyChain(placed));
  }
  return reports;
}

async function verifyChain(placed: readonly Placed[]): Promise<ChainReport> {
  const inOrder = [...placed].sort((a, b) => a.place.firstSeq - b.place.firstSeq);
  const walk = new ChainWalk();
  for (const { object, place } of inOrder) {
    let lines: readonly string[];
    const bytes = await object.read();
    try {
      const text = new TextDecoder('utf-8', { fatal: true }).decode(await gunzipped(bytes));
      if (!text.endsWith('\n')) throw new Error('its last line has no end');
      lines = text.slice(0, -1).split('\n');
    } catch (error) {
      walk.fault('UNREADABLE', object.key, error instanceof Error ? error.message : String(error));
      continue;
    }
    lines.forEach((text, at) => walk.take(text, { ...place, key: object.key, first: at === 0 }));
  }
  return walk.report(inOrder);
}

type At = Placed['place'] & { readonly key: string; readonly first: boolean };

/** Follows one chain from record to record; after a fault it goes on from where it is, so that each is told once. */
class ChainWalk {
  readonly #faults: Fault[] = [];
  #firstRecord: Line | undefined;
  #last: { record: Line; date: string } | undefined;
  #records = 0;

  fault(code: FaultCode, where: string, text: string = faultCodes[code]): void {
    this.#faults.push({ code, where, text });
  }

  take(text: string, at: At): void {
    const record = parsed(text);
    const seq = record?.seq ?? '?';
    const where = `${at.key} seq ${seq}`;
    if (!record) {
      this.fault('UNREADABLE', at.key, 'a line is not a record of version 1, or not as it was written');
      return;
    }
    this.#records += 1;
    this.#placed(record, at, where);
    if (hashOf(record) !== record.hash) this.fault('ALTERED', where);
    if (this.#last) this.#follows(this.#last, record, at, where);
    else this.#begins(record, at, where);
    this.#firstRecord ??= record;
    this.#last = { record, date: at.date };
  }

  report(placed: readonly Placed[]): ChainReport {
    const [first, last] = [this.#firstRecord, this.#last?.record];
    const phase = last?.phase;
    return {
      tenantId: first?.tenantId ?? placed[0]?.place.tenantId ?? '',
      taskId: placed[0]?.place.taskId ?? '',
      days: [...new Set(placed.map(({ place }) => place.date))],
      objects: placed.length,
      records: this.#records,
      firstSeq: first?.seq ?? 0,
      lastSeq: last?.seq ?? 0,
      head: last?.hash ?? '',
      fromStart: first?.seq === 1,
      end: phase === 'closed' || phase === 'day-end' ? phase : 'open',
      faults: this.#faults,
    };
  }

  #placed({ tenantId, taskId, seq, time }: Line, at: At, where: string): void {
    const own = (at.tenantId ?? this.#firstRecord?.tenantId ?? tenantId) === tenantId && at.taskId === taskId;
    const named = !at.first || at.firstSeq === seq;
    if (!own || !named || !time.startsWith(at.date)) this.fault('MISPLACED', where);
  }

  /** The first that we have: it must be the first there is, or begin a day. */
  #begins({ seq, prev, tenantId, taskId, phase }: Line, at: At, where: string): void {
    if (seq === 1 && prev !== genesis(tenantId, taskId)) this.fault('UNLINKED', where);
    if (phase !== 'day-start') {
      this.fault(
        'MISSING',
        where,
        `the day ${at.date} begins with seq ${seq}: records before it are missing`,
      );
    }
  }

  #follows(
    { record: before, date }: { record: Line; date: string },
    record: Line,
    at: At,
    where: string,
  ): void {
    const { seq, prev, time, phase } = record;
    if (seq > before.seq + 1) {
      this.fault('MISSING', where, `seq ${before.seq + 1} to ${seq - 1} are missing`);
    } else if (seq <= before.seq) {
      this.fault('REPEATED', where);
    } else {
      if (prev !== before.hash) this.fault('UNLINKED', where);
      if (before.phase === 'closed') this.fault('AFTER_END', where);
      const newDay = at.date !== date;
      if (newDay !== (before.phase === 'day-end') || newDay !== (phase === 'day-start'))
        this.fault('UNENDED', where);
    }
    if (time < before.time) this.fault('BACKDATED', where);
  }
}

/** Undefined also for a line that says the same in other words: duplicate members, blanks. */
function parsed(text: string): Line | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const record = line.safeParse(value);
    return record.success && JSON.stringify(value) === text ? record.data : undefined;
  } catch {
    return undefined;
  }
}
