import { Problem } from '../../core/problem/problem.ts';
import type { Exchange } from './exchange.ts';
import { notAllowed } from './own-documents.ts';
import { requestAttributes, type RequestAttributes } from './request-attributes.ts';
import type { RequestTarget } from './request-target.ts';

/** Goldmane's statistics, the one gRPC method that Guardian passes on (guardian.md §3). */
export const statisticsSegments = ['goldmane.Statistics', 'List'] as const;

export const isStatistics = ({ segments }: Pick<RequestTarget, 'segments'>): boolean =>
  segments[0] === statisticsSegments[0];

/** They are read, whatever gRPC's method. */
export const statisticsAttributes = (): RequestAttributes => requestAttributes('GET', statisticsSegments, '');

/** @throws Problem METHOD_NOT_ALLOWED, UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST unless this is a gRPC call */
export function assertCallable(exchange: Exchange): void {
  if (exchange.method !== 'POST') throw notAllowed(['POST']);
  if (!speaksGrpc(exchange)) {
    throw new Problem(
      'UNSUPPORTED_MEDIA_TYPE',
      'This is a gRPC method: the content type is application/grpc.',
    );
  }
  if (!exchange.isHttp2) throw new Problem('INVALID_REQUEST', 'gRPC is spoken over HTTP/2.');
}

/** https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
export const speaksGrpc = ({ headers }: Pick<Exchange, 'headers'>): boolean =>
  /^application\/grpc(?:[+;]|$)/i.test(headers['content-type'] ?? '');
