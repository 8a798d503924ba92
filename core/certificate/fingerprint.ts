import { createHash } from 'node:crypto';

/** A certificate's identity: lower-case hex SHA-256 of its DER, as Guardian's own code computes it (guardian.md §1). */
export const fingerprint = (der: Uint8Array): string => createHash('sha256').update(der).digest('hex');
