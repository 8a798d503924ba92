import { X509Certificate } from 'node:crypto';
import type { ServerCertificates } from '../../core/certificate/server-certificates.ts';
import type { TunnelTraffic } from '../agent/tunnel-server.ts';
import type { LimitRefusals } from '../limits/tenant-usage.ts';
import type { Readings } from './metrics.ts';

/** What the figures ask of the rooms, and no more. */
export type Rooms = {
  readonly tunnels: { readonly size: number };
  readonly agents: {
    readonly traffic: TunnelTraffic;
    readonly handshakesInFlight: number;
    readonly refusedParked: number;
  };
  readonly access: { readonly inFlight: number };
  readonly revocations: { readonly answeredAt: number };
  readonly certificates: { readonly current: ServerCertificates };
  readonly ingestMemory: { readonly inUse: number };
  readonly windowMemory: { readonly inUse: number };
  readonly audit: { readonly bytes: number; readonly failingTenants: number };
  readonly limits: { readonly refused: LimitRefusals };
  readonly eventLoop: { read(): Readonly<Record<'mean' | 'p99' | 'max', number>> };
  /** Epoch milliseconds. */
  readonly now: () => number;
};

const dayMs = 86_400_000;

/** The figures that are read where they are. */
export function readingsOf(rooms: Rooms): Readings {
  const { tunnels, agents, access, revocations, certificates, audit, limits, now } = rooms;
  return {
    tunnels: () => tunnels.size,
    streams: () => agents.traffic.streams,
    tunnel_bytes: () => ({ in: agents.traffic.in, out: agents.traffic.out }),
    handshakes_in_flight: () => agents.handshakesInFlight,
    refused_parked: () => agents.refusedParked,
    requests_in_flight: () => access.inFlight,
    upgraded_streams: () => agents.traffic.upgrades,
    window_memory_bytes: () => rooms.windowMemory.inUse,
    ingest_memory_bytes: () => rooms.ingestMemory.inUse,
    resident_memory_bytes: () => process.memoryUsage.rss(),
    heap_used_bytes: () => process.memoryUsage().heapUsed,
    event_loop_delay_seconds: () => rooms.eventLoop.read(),
    revocations_age_seconds: () => Math.max(0, now() - revocations.answeredAt) / 1_000,
    certificate_days: () => daysLeft(certificates.current, now()),
    audit_memory_bytes: () => audit.bytes,
    audit_failing_tenants: () => audit.failingTenants,
    over_limit: () => limits.refused,
  };
}

function daysLeft({ tunnel, access, logEndpoint, peer }: ServerCertificates, now: number) {
  const days = ({ certificate }: { readonly certificate: string }) =>
    (new X509Certificate(certificate).validToDate.getTime() - now) / dayMs;
  return {
    tunnel: days(tunnel),
    access: days(access),
    log_endpoint: days(logEndpoint),
    peer: days(peer),
  };
}
