import type { AwsCall } from '../aws-call.ts';
import { AwsError } from '../aws-error.ts';
import type { Decision } from '../iam/authoriser.ts';
import { readBody } from '../request-body.ts';
import { xmlDocument } from '../xml-text.ts';
import type { XmlNode } from '../xml-text.ts';
import type { Bucket } from './bucket.ts';
import { BodyDigest, declaredChecksums } from './checksums.ts';
import { s3Namespace } from './listing.ts';

/** S3 takes 1,000 keys at a time. */
const maxObjects = 1_000;
const maxBytes = 2 * 1024 * 1024;

/** POST ?delete: every key is judged and deleted by itself; the answer says which was not. */
export async function deleteObjects(
  call: AwsCall,
  bucket: Bucket,
  decide: (key: string, versionId: string | undefined) => Promise<Decision>,
): Promise<string> {
  const body = await readBody(call.request, maxBytes);
  const digest = new BodyDigest();
  digest.update(body);
  digest.verify(declaredChecksums(call.request.headers, call.payloadHash), new Map());
  const { objects, quiet } = readDelete(body.toString('utf8'));
  const deleted: XmlNode[] = [];
  const errors: XmlNode[] = [];
  for (const { key, versionId } of objects) {
    const decision = await decide(key, versionId);
    if (!decision.allowed) {
      errors.push({
        Key: key,
        VersionId: versionId,
        Code: 'AccessDenied',
        Message: `Access Denied ${decision.reason}`,
      });
      continue;
    }
    const done = await bucket.delete(key, versionId);
    if (quiet) continue;
    deleted.push({
      Key: key,
      VersionId: versionId,
      DeleteMarker: done.deleteMarker,
      DeleteMarkerVersionId: done.deleteMarker ? done.versionId : undefined,
    });
  }
  return xmlDocument('DeleteResult', s3Namespace, { Deleted: deleted, Error: errors });
}

type Wanted = { objects: { key: string; versionId: string | undefined }[]; quiet: boolean };

function readDelete(text: string): Wanted {
  const objects = [...text.matchAll(/<Object>(.*?)<\/Object>/gs)].map(([, inner = '']) => {
    const key = element(inner, 'Key');
    if (key === undefined) throw malformed();
    return { key, versionId: element(inner, 'VersionId') };
  });
  if (!/<Delete[\s>]/.test(text) || objects.length === 0 || objects.length > maxObjects) throw malformed();
  return { objects, quiet: element(text, 'Quiet') === 'true' };
}

const malformed = (): AwsError =>
  new AwsError(
    'MalformedXML',
    'The XML you provided was not well-formed or did not validate against our published schema',
  );

function element(text: string, name: string): string | undefined {
  const inner = new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1];
  return inner?.replace(
    /&(?:#x([0-9a-fA-F]+)|#(\d+)|(amp|lt|gt|quot|apos));/g,
    (_whole, hex?: string, decimal?: string, named?: string) => {
      if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
      if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
      return { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }[named ?? ''] ?? '';
    },
  );
}
