import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { AwsError } from '../aws-error.ts';

/** The checksum algorithms that the stand-in computes; SDKs choose CRC32 unless told otherwise. */
const algorithms = ['crc32', 'sha1', 'sha256'] as const;
export type ChecksumAlgorithm = (typeof algorithms)[number];
export type Checksums = Partial<Record<ChecksumAlgorithm, string>>;

const notComputed = ['crc32c', 'crc64nvme'];

/** What a client says of its body, in headers now or in trailers later. */
export type Declared = {
  checksums: Checksums;
  /** `x-amz-trailer`: the one that follows the body. */
  trailer: ChecksumAlgorithm | undefined;
  /** Base64 of 16 bytes. */
  contentMd5: string | undefined;
  /** Hex SHA-256, when the signature covers the body itself. */
  payloadHash: string | undefined;
};

type Headers = Record<string, string | string[] | undefined>;

/** Throws NotImplemented for an algorithm that cannot be checked: storing unchecked what asked to be checked would be worse. */
export function declaredChecksums(headers: Headers, payloadHash: string): Declared {
  const trailer = one(headers['x-amz-trailer'])?.toLowerCase();
  for (const name of notComputed) {
    if (headers[`x-amz-checksum-${name}`] !== undefined || trailer === `x-amz-checksum-${name}`) {
      throw new AwsError(
        'NotImplemented',
        `The laptop stack's s3 does not compute ${name.toUpperCase()} checksums.`,
        501,
      );
    }
  }
  const checksums: Checksums = {};
  for (const name of algorithms) {
    const value = one(headers[`x-amz-checksum-${name}`]);
    if (value !== undefined) checksums[name] = value;
  }
  return {
    checksums,
    trailer: algorithms.find((name) => trailer === `x-amz-checksum-${name}`),
    contentMd5: one(headers['content-md5']),
    payloadHash: /^[0-9a-f]{64}$/.test(payloadHash) ? payloadHash : undefined,
  };
}

/** Digests of a body as it passes by. */
export class BodyDigest {
  private readonly md5 = createHash('md5');
  private readonly sha256 = createHash('sha256');
  private readonly sha1 = createHash('sha1');
  private crc = 0;
  size = 0;

  update(piece: Buffer): void {
    this.size += piece.length;
    this.md5.update(piece);
    this.sha1.update(piece);
    this.sha256.update(piece);
    this.crc = crc32(piece, this.crc);
  }

  /** Compares with what was declared. Throws BadDigest, XAmzContentSHA256Mismatch or MalformedTrailerError; returns ETag and checksums to keep. */
  verify(declared: Declared, trailers: Map<string, string>): { etag: string; checksums: Checksums } {
    const crcBytes = Buffer.alloc(4);
    crcBytes.writeUInt32BE(this.crc);
    const md5 = this.md5.digest();
    const sha256 = this.sha256.digest();
    const computed: Record<ChecksumAlgorithm, string> = {
      crc32: crcBytes.toString('base64'),
      sha1: this.sha1.digest('base64'),
      sha256: sha256.toString('base64'),
    };
    const expected: Checksums = { ...declared.checksums };
    if (declared.trailer) {
      const sent = trailers.get(`x-amz-checksum-${declared.trailer}`);
      if (sent === undefined)
        throw new AwsError('MalformedTrailerError', 'The announced trailer did not follow the body.');
      expected[declared.trailer] = sent;
    }
    for (const name of algorithms) {
      if (expected[name] !== undefined && expected[name] !== computed[name]) {
        throw new AwsError(
          'BadDigest',
          `The ${name.toUpperCase()} you specified did not match the calculated checksum.`,
        );
      }
    }
    if (declared.contentMd5 !== undefined && declared.contentMd5 !== md5.toString('base64')) {
      throw new AwsError('BadDigest', 'The Content-MD5 you specified did not match what we received.');
    }
    if (declared.payloadHash !== undefined && declared.payloadHash !== sha256.toString('hex')) {
      throw new AwsError(
        'XAmzContentSHA256Mismatch',
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
      );
    }
    return { etag: md5.toString('hex'), checksums: expected };
  }
}

export const checksumHeaders = (checksums: Checksums): Record<string, string> =>
  Object.fromEntries(Object.entries(checksums).map(([name, value]) => [`x-amz-checksum-${name}`, value]));

const one = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value[0] : value;
