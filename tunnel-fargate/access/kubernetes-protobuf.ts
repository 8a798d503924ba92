/**
 * Kubernetes' protobuf of the few messages that we answer ourselves: kubectl from 1.32 on sends its reviews in it.
 * An object is the four bytes `k8s\0` and a runtime.Unknown whose `raw` is the message (k8s.io/apimachinery,
 * pkg/runtime/generated.proto); field numbers of the reviews: k8s.io/api/authorization/v1/generated.proto.
 */
export const protobufMediaType = 'application/vnd.kubernetes.protobuf';

const magic = Buffer.from('k8s\0', 'latin1');

/** What the bytes are not; the message is for the log only. */
export class ProtobufError extends Error {
  override readonly name = 'ProtobufError';
}

/** The message inside the envelope. @throws ProtobufError */
export function unwrap(bytes: Buffer): Buffer {
  if (!bytes.subarray(0, magic.length).equals(magic)) throw new ProtobufError('no envelope');
  return fieldsOf(bytes.subarray(magic.length)).get(2) ?? Buffer.alloc(0);
}

/** `spec` of a SelfSubjectAccessReview message, as its JSON would have it. @throws ProtobufError */
export function accessReviewSpec(message: Buffer) {
  const spec = fieldsOf(fieldsOf(message).get(2));
  const [resource, path] = [spec.get(1), spec.get(2)];
  const resourceFields = ['namespace', 'verb', 'group', 'version', 'resource', 'subresource', 'name'];
  return {
    ...(resource ? { resourceAttributes: textsOf(resource, resourceFields) } : {}),
    ...(path ? { nonResourceAttributes: textsOf(path, ['path', 'verb']) } : {}),
  };
}

/** `spec` of a SelfSubjectRulesReview message. @throws ProtobufError */
export const rulesReviewSpec = (message: Buffer) => textsOf(fieldsOf(message).get(2), ['namespace']);

/** Text fields numbered from 1 in the order of their names; empty ones are absent, as in JSON. */
function textsOf(message: Buffer | undefined, names: readonly string[]): Record<string, string> {
  const fields = fieldsOf(message);
  const result: Record<string, string> = {};
  names.forEach((name, at) => {
    const text = fields.get(at + 1)?.toString('utf8');
    if (text) result[name] = text;
  });
  return result;
}

/** Length-delimited fields by number, the last of each; others are passed over (protobuf.dev, "Encoding"). */
function fieldsOf(message: Buffer | undefined): Map<number, Buffer> {
  const fields = new Map<number, Buffer>();
  if (!message) return fields;
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = message[at];
      at += 1;
      if (byte === undefined) throw new ProtobufError('cut short');
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new ProtobufError('a number of more than ten bytes');
  };
  while (at < message.length) {
    const tag = varint();
    const wire = tag % 8;
    if (wire === 0) varint();
    else if (wire === 1) at += 8;
    else if (wire === 5) at += 4;
    else if (wire === 2) {
      const length = varint();
      if (length > message.length - at) throw new ProtobufError('a field longer than its message');
      fields.set(Math.floor(tag / 8), message.subarray(at, at + length));
      at += length;
    } else throw new ProtobufError(`wire type ${wire}`);
  }
  if (at > message.length) throw new ProtobufError('cut short');
  return fields;
}
