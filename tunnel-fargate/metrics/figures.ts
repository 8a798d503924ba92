import { credentialKinds } from '../../core/credential/credential-kind.ts';
import type { RefusalReason } from '../agent/identity.ts';
import type { TunnelEnd } from '../agent/tunnel.ts';
import { uploadOutcomes } from '../ingest/flow-ingest.ts';
import { rejectReasons } from '../ingest/flow-line.ts';
import type { LimitRefusals } from '../limits/tenant-usage.ts';

/** CloudWatch's units, as far as they are used. */
type Unit = 'Count' | 'Bytes' | 'Seconds' | 'Milliseconds';

/**
 * One figure. A counter grows from the start of the task; a gauge is read when it is asked for; a histogram is observed.
 * `label` has the values of a closed set and no other: whatever does not belong to it counts as `other`. So no address,
 * no cluster, no tenant and no path can ever become a series.
 */
export type Figure = {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  /** One sentence, for the exposition and docs/metrics.md. */
  readonly help: string;
  readonly unit: Unit;
  /** The name in CloudWatch; a label's value is put behind it. */
  readonly emf: string;
  readonly label?: { readonly name: string; readonly values: readonly string[] };
  /** Upper bounds of a histogram, in its unit. */
  readonly buckets?: readonly number[];
};

/** Counts a value outside of a label's set. */
export const otherValue = 'other';

const refusalReasons = {
  NO_CERTIFICATE: true,
  CERTIFICATE_UNKNOWN: true,
  CERTIFICATE_REVOKED: true,
  CERTIFICATE_EXPIRED: true,
  CERTIFICATE_NOT_YET_VALID: true,
  DIRECTORY_UNAVAILABLE: true,
  TENANT_LIMIT: true,
} satisfies Record<RefusalReason, true>;

const tunnelEnds = {
  REPLACED: true,
  SUPERSEDED: true,
  CERTIFICATE_REVOKED: true,
  CERTIFICATE_EXPIRED: true,
  SHUTDOWN: true,
  KEEPALIVE_TIMEOUT: true,
  WRITE_TIMEOUT: true,
  REMOTE_GOAWAY: true,
  TRANSPORT_CLOSED: true,
  TRANSPORT_ERROR: true,
  TRUNCATED_FRAME: true,
  BAD_VERSION: true,
  BAD_TYPE: true,
  BAD_STREAM_ID: true,
  DUPLICATE_STREAM: true,
  RECV_WINDOW_EXCEEDED: true,
  WINDOW_OVERFLOW: true,
  UNEXPECTED_FIN: true,
  PING_FLOOD: true,
} satisfies Partial<Record<TunnelEnd, true>>;

const tenantLimits = {
  requests: true,
  requestRate: true,
  bytes: true,
  clusterStreams: true,
  tunnels: true,
} satisfies Record<keyof LimitRefusals, true>;

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Every figure of the tunnel server: Prometheus' text and CloudWatch's lines are both made from this table. */
export const figures = {
  tunnels: {
    kind: 'gauge',
    unit: 'Count',
    emf: 'Tunnels',
    help: 'Clusters connected to this task.',
  },
  streams: {
    kind: 'gauge',
    unit: 'Count',
    emf: 'Streams',
    help: 'Live mux streams of all tunnels, of either side.',
  },
  upgraded_streams: {
    kind: 'gauge',
    unit: 'Count',
    emf: 'UpgradedStreams',
    help: 'Upgraded requests that are open: exec, attach, cp, port-forward, watches over WebSocket.',
  },
  requests_in_flight: {
    kind: 'gauge',
    unit: 'Count',
    emf: 'RequestsInFlight',
    help: 'Requests of users that run, watches included.',
  },
  window_memory_bytes: {
    kind: 'gauge',
    unit: 'Bytes',
    emf: 'WindowMemory',
    help: 'Receive windows promised to peers: what they may leave in our memory.',
  },
  ingest_memory_bytes: {
    kind: 'gauge',
    unit: 'Bytes',
    emf: 'IngestMemory',
    help: 'What uploads of clusters hold in memory.',
  },
  resident_memory_bytes: {
    kind: 'gauge',
    unit: 'Bytes',
    emf: 'ResidentMemory',
    help: 'Resident set of the process.',
  },
  heap_used_bytes: {
    kind: 'gauge',
    unit: 'Bytes',
    emf: 'HeapUsed',
    help: 'JavaScript objects, garbage included.',
  },
  tunnel_bytes: {
    kind: 'counter',
    unit: 'Bytes',
    emf: 'TunnelBytes',
    label: { name: 'direction', values: ['in', 'out'] },
    help: 'Bytes on the wire of tunnels, TLS and mux included; in: from the clusters.',
  },
  tunnels_opened: {
    kind: 'counter',
    unit: 'Count',
    emf: 'TunnelsOpened',
    help: 'Tunnels that came up.',
  },
  tunnels_closed: {
    kind: 'counter',
    unit: 'Count',
    emf: 'TunnelsClosed',
    label: { name: 'reason', values: Object.keys(tunnelEnds) },
    help: 'Tunnels that ended, by the reason of their log line.',
  },
  handshakes: {
    kind: 'counter',
    unit: 'Count',
    emf: 'Handshakes',
    label: { name: 'outcome', values: ['accepted', 'refused', 'failed', 'dropped'] },
    help:
      'Connections to the tunnel port: accepted as a tunnel, refused by their certificate, failed in TLS or in time, ' +
      'dropped because too many were in flight.',
  },
  handshakes_in_flight: {
    kind: 'gauge',
    unit: 'Count',
    emf: 'HandshakesInFlight',
    help: 'Connections to the tunnel port that are not yet judged.',
  },
  refusals: {
    kind: 'counter',
    unit: 'Count',
    emf: 'Refusals',
    label: { name: 'reason', values: Object.keys(refusalReasons) },
    help: 'Handshakes whose certificate was refused, by the reason of their log line.',
  },
  refused_parked: {
    kind: 'gauge',
    unit: 'Count',
    emf: 'RefusedParked',
    help: 'Refused peers that wait for their end.',
  },
  stale_admissions: {
    kind: 'counter',
    unit: 'Count',
    emf: 'StaleAdmissions',
    help: 'Tunnels admitted from memory while the directory did not answer.',
  },
  ping_rtt_seconds: {
    kind: 'histogram',
    unit: 'Seconds',
    emf: 'PingRtt',
    buckets: seconds,
    help: 'Last round trip of our ping, of each live tunnel, every 15 s.',
  },
  event_loop_delay_seconds: {
    kind: 'gauge',
    unit: 'Seconds',
    emf: 'EventLoopDelay',
    label: { name: 'statistic', values: ['mean', 'p99', 'max'] },
    help: 'How late timers of the event loop fire, since the last minute line.',
  },
  directory_errors: {
    kind: 'counter',
    unit: 'Count',
    emf: 'DirectoryErrors',
    label: {
      name: 'operation',
      values: ['find', 'revokedSince', 'announce', 'withdraw', 'locate', 'lease', 'renewLease'],
    },
    help: 'Questions to the directory table that it did not answer, after all retries.',
  },
  revocations_age_seconds: {
    kind: 'gauge',
    unit: 'Seconds',
    emf: 'RevocationsAge',
    help: 'Since the directory last said what is revoked.',
  },
  storage_errors: {
    kind: 'counter',
    unit: 'Count',
    emf: 'StorageErrors',
    label: { name: 'use', values: ['flows', 'audit'] },
    help: 'Objects that S3 did not take, after all retries.',
  },
  certificate_days: {
    kind: 'gauge',
    unit: 'Count',
    emf: 'CertificateDays',
    label: { name: 'certificate', values: ['tunnel', 'access', 'log_endpoint', 'peer'] },
    help: 'Days until a certificate that this task presents expires.',
  },
  requests: {
    kind: 'counter',
    unit: 'Count',
    emf: 'Requests',
    label: { name: 'status', values: ['1xx', '2xx', '3xx', '4xx', '5xx', 'none'] },
    help: 'Requests of users that ended, by status; none: the client left before an answer began.',
  },
  credentials_refused: {
    kind: 'counter',
    unit: 'Count',
    emf: 'CredentialsRefused',
    label: { name: 'kind', values: credentialKinds },
    help: 'Requests of users whose credential was refused, by what it was meant to be; the authorizer counts those of the API.',
  },
  access_dropped: {
    kind: 'counter',
    unit: 'Count',
    emf: 'AccessDropped',
    help: 'Connections of users that were dropped: too many handshakes at a time, or too many of one address.',
  },
  request_seconds: {
    kind: 'histogram',
    unit: 'Seconds',
    emf: 'RequestTime',
    label: { name: 'status', values: ['2xx', '3xx', '4xx', '5xx'] },
    buckets: [...seconds, 30, 60],
    help: 'How long requests took that end by themselves: no watch, no followed log, nothing upgraded.',
  },
  ingest_uploads: {
    kind: 'counter',
    unit: 'Count',
    emf: 'IngestUploads',
    label: { name: 'outcome', values: uploadOutcomes },
    help: 'Uploads of flow logs, by how they ended.',
  },
  ingest_bytes: {
    kind: 'counter',
    unit: 'Bytes',
    emf: 'IngestBytes',
    help: 'Uncompressed bytes of uploads that came.',
  },
  ingest_lines: {
    kind: 'counter',
    unit: 'Count',
    emf: 'IngestLines',
    label: { name: 'outcome', values: ['stored', 'repeated'] },
    help: 'Lines of acknowledged uploads: stored, or stored before.',
  },
  ingest_malformed_lines: {
    kind: 'counter',
    unit: 'Count',
    emf: 'IngestMalformedLines',
    label: { name: 'reason', values: rejectReasons },
    help: 'Lines of acknowledged uploads that are no flow and were kept aside, by what is wrong with them.',
  },
  audit_memory_bytes: {
    kind: 'gauge',
    unit: 'Bytes',
    emf: 'AuditMemory',
    help: 'Audit records that are not yet in S3, and room reserved for those of running requests.',
  },
  audit_failing_tenants: {
    kind: 'gauge',
    unit: 'Count',
    emf: 'AuditFailingTenants',
    help: 'Tenants whose last audit object S3 did not take: changes are refused to them.',
  },
  over_limit: {
    kind: 'counter',
    unit: 'Count',
    emf: 'OverLimit',
    label: { name: 'limit', values: Object.keys(tenantLimits) },
    help: 'Requests, streams and tunnels refused because their tenant was over its limit.',
  },
} as const satisfies Record<string, Figure>;

export type FigureName = keyof typeof figures;
type OfKind<Kind extends Figure['kind']> = {
  [Name in FigureName]: (typeof figures)[Name]['kind'] extends Kind ? Name : never;
}[FigureName];
export type CounterName = OfKind<'counter'>;
export type GaugeName = OfKind<'gauge'>;
export type HistogramName = OfKind<'histogram'>;
