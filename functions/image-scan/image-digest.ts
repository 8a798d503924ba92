import { Problem } from '../../core/problem/problem.ts';

type Named = {
  /** Digest that the request names. */
  readonly requested: string | undefined;
  /** Reference that the request names; may hold a digest. */
  readonly requestedImage: string | undefined;
  readonly repoDigests: readonly string[];
  /** Reference that the report names; may hold a digest. */
  readonly reported: string | undefined;
};

const suffix = /@(sha256:[0-9a-f]{64})$/;
const digestIn = (reference: string | undefined): string | undefined =>
  reference === undefined ? undefined : suffix.exec(reference)?.[1];

/**
 * Which image a report is about. What the request names must be one of those that the report names, if it names any
 * (an image that is known in several repositories has several digests): REPORT_DIGEST_MISMATCH. Without the request's
 * word the report must name exactly one: REPORT_DIGEST_MISSING. The ID of the image's configuration is no digest of it.
 */
export function imageDigest({ requested, requestedImage, repoDigests, reported }: Named): string {
  const asked = [requested, digestIn(requestedImage)].filter((each) => each !== undefined);
  const named = [...new Set([digestIn(reported), ...repoDigests.map(digestIn)])].filter(
    (each) => each !== undefined,
  );
  const [wanted, other = wanted] = asked;
  if (wanted !== other) {
    throw new Problem('REPORT_DIGEST_MISMATCH', 'The query names two digests: in image and in digest.');
  }
  if (wanted !== undefined) {
    if (named.length > 0 && !named.includes(wanted)) {
      throw new Problem(
        'REPORT_DIGEST_MISMATCH',
        `The request names ${wanted}, the report ${named.slice(0, 3).join(', ')}.`,
      );
    }
    return wanted;
  }
  const only = digestIn(reported) ?? (named.length === 1 ? named[0] : undefined);
  if (only === undefined) {
    throw new Problem(
      'REPORT_DIGEST_MISSING',
      named.length === 0
        ? 'The report holds no digest of the image (an archive or a local build has none): add ?digest=sha256:….'
        : `The report names ${named.length} digests: say with ?digest= which one was scanned.`,
    );
  }
  return only;
}
