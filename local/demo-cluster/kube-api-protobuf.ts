import type { Json, JsonObject } from './kube-json.ts';
import { KubeError } from './kube-api-status.ts';

/**
 * Kubernetes' protobuf bodies, as kubectl's typed commands (`kubectl create namespace`, from 1.33) send them. Field
 * numbers are those of the API's published .proto files; only what such commands write is known here.
 */
type Scalar = 'string' | 'int' | 'bool' | 'strings' | 'map' | 'int-or-string' | 'ignored';
// eslint-disable-next-line @typescript-eslint/consistent-indexed-object-style -- a Record cannot refer to itself
type Message = {
  readonly [field: number]: [name: string, type: Scalar | Message | [Message], keepZero?: 'keep-zero'];
};

const meta: Message = {
  1: ['name', 'string'],
  2: ['generateName', 'string'],
  3: ['namespace', 'string'],
  4: ['selfLink', 'ignored'],
  5: ['uid', 'string'],
  6: ['resourceVersion', 'string'],
  7: ['generation', 'ignored'],
  8: ['creationTimestamp', 'ignored'],
  11: ['labels', 'map'],
  12: ['annotations', 'map'],
  14: ['finalizers', 'strings'],
};
const container: Message = {
  1: ['name', 'string'],
  2: ['image', 'string'],
  3: ['command', 'strings'],
  4: ['args', 'strings'],
  5: ['workingDir', 'string'],
  6: [
    'ports',
    [
      {
        1: ['name', 'string'],
        2: ['hostPort', 'int'],
        3: ['containerPort', 'int'],
        4: ['protocol', 'string'],
        5: ['hostIP', 'string'],
      },
    ],
  ],
  7: ['env', [{ 1: ['name', 'string'], 2: ['value', 'string'] }]],
  13: ['terminationMessagePath', 'string'],
  14: ['imagePullPolicy', 'string'],
  16: ['stdin', 'bool'],
  17: ['stdinOnce', 'bool'],
  18: ['tty', 'bool'],
  20: ['terminationMessagePolicy', 'string'],
};
const podSpec: Message = {
  2: ['containers', [container]],
  3: ['restartPolicy', 'string'],
  4: ['terminationGracePeriodSeconds', 'int', 'keep-zero'],
  6: ['dnsPolicy', 'string'],
  7: ['nodeSelector', 'map'],
  8: ['serviceAccountName', 'string'],
  9: ['serviceAccount', 'string'],
  10: ['nodeName', 'string'],
  11: ['hostNetwork', 'bool'],
  12: ['hostPID', 'bool'],
  13: ['hostIPC', 'bool'],
  16: ['hostname', 'string'],
  17: ['subdomain', 'string'],
  19: ['schedulerName', 'string'],
  24: ['priorityClassName', 'string'],
};
const deploymentSpec: Message = {
  1: ['replicas', 'int', 'keep-zero'],
  2: ['selector', { 1: ['matchLabels', 'map'] }],
  3: ['template', { 1: ['metadata', meta], 2: ['spec', podSpec] }],
  4: ['strategy', { 1: ['type', 'string'] }],
  5: ['minReadySeconds', 'int'],
  6: ['revisionHistoryLimit', 'int', 'keep-zero'],
  7: ['paused', 'bool'],
  9: ['progressDeadlineSeconds', 'int'],
};
const serviceSpec: Message = {
  1: [
    'ports',
    [
      {
        1: ['name', 'string'],
        2: ['protocol', 'string'],
        3: ['port', 'int'],
        4: ['targetPort', 'int-or-string'],
        5: ['nodePort', 'int'],
      },
    ],
  ],
  2: ['selector', 'map'],
  3: ['clusterIP', 'string'],
  4: ['type', 'string'],
  7: ['sessionAffinity', 'string'],
  8: ['loadBalancerIP', 'string'],
  10: ['externalName', 'string'],
  11: ['externalTrafficPolicy', 'string'],
  12: ['healthCheckNodePort', 'int'],
  13: ['publishNotReadyAddresses', 'bool'],
};
const kinds: Record<string, Message> = {
  'v1 Namespace': {
    1: ['metadata', meta],
    2: ['spec', { 1: ['finalizers', 'strings'] }],
    3: ['status', 'ignored'],
  },
  'v1 ConfigMap': { 1: ['metadata', meta], 2: ['data', 'map'], 4: ['immutable', 'bool'] },
  'v1 Service': { 1: ['metadata', meta], 2: ['spec', serviceSpec], 3: ['status', 'ignored'] },
  'v1 Pod': { 1: ['metadata', meta], 2: ['spec', podSpec], 3: ['status', 'ignored'] },
  'apps/v1 Deployment': { 1: ['metadata', meta], 2: ['spec', deploymentSpec], 3: ['status', 'ignored'] },
  'v1 DeleteOptions': {
    1: ['gracePeriodSeconds', 'int', 'keep-zero'],
    2: ['preconditions', { 1: ['uid', 'string'], 2: ['resourceVersion', 'string'] }],
    4: ['propagationPolicy', 'string'],
    5: ['dryRun', 'strings'],
  },
};

function malformed(): KubeError {
  return new KubeError('BadRequest', 'the protobuf body is malformed');
}

function unknownPart(what: string): KubeError {
  return new KubeError(
    'UnsupportedMediaType',
    `the demo API does not read ${what} from protobuf: send application/json`,
  );
}

type Field = { number: number; value: bigint | Buffer };

function* fieldsOf(bytes: Buffer): Generator<Field> {
  let offset = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[offset++];
      if (byte === undefined) throw malformed();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
    throw malformed();
  };
  const take = (length: number): Buffer => {
    if (length < 0 || offset + length > bytes.length) throw malformed();
    offset += length;
    return bytes.subarray(offset - length, offset);
  };
  while (offset < bytes.length) {
    const tag = Number(varint());
    const wire = tag & 7;
    const number = tag >>> 3;
    if (wire === 0) yield { number, value: varint() };
    else if (wire === 2) yield { number, value: take(Number(varint())) };
    else if (wire === 1) yield { number, value: take(8) };
    else if (wire === 5) yield { number, value: take(4) };
    else throw malformed();
  }
}

const asBytes = (value: bigint | Buffer): Buffer => {
  if (typeof value === 'bigint') throw malformed();
  return value;
};

function pairOf(bytes: Buffer): [string, string] {
  const pair = new Map<number, string>();
  for (const { number, value } of fieldsOf(bytes)) pair.set(number, asBytes(value).toString('utf8'));
  return [pair.get(1) ?? '', pair.get(2) ?? ''];
}

function intOrString(bytes: Buffer): Json {
  const parts = new Map<number, bigint | Buffer>();
  for (const { number, value } of fieldsOf(bytes)) parts.set(number, value);
  return parts.get(1) === 1n
    ? asBytes(parts.get(3) ?? Buffer.alloc(0)).toString('utf8')
    : Number(parts.get(2) ?? 0n);
}

/** A message as JSON, what Go would omit as empty left out. */
function decode(bytes: Buffer, message: Message, path: string): JsonObject {
  const result: JsonObject = {};
  for (const { number, value } of fieldsOf(bytes)) {
    const known = message[number];
    if (!known) {
      // Messages that are never absent in Kubernetes' encoding come along empty.
      if (typeof value !== 'bigint' && value.length === 0) continue;
      if (value === 0n) continue;
      throw unknownPart(`field ${number} of ${path}`);
    }
    const [name, type, keepZero] = known;
    const before = result[name];
    if (type === 'ignored') continue;
    if (type === 'string') {
      const text = asBytes(value).toString('utf8');
      if (text !== '') result[name] = text;
    } else if (type === 'int') {
      if (value !== 0n || keepZero) result[name] = Number(value);
    } else if (type === 'bool') {
      if (value !== 0n) result[name] = true;
    } else if (type === 'strings') {
      result[name] = [...(Array.isArray(before) ? before : []), asBytes(value).toString('utf8')];
    } else if (type === 'map') {
      const [key, text] = pairOf(asBytes(value));
      result[name] = { ...(before as JsonObject | undefined), [key]: text };
    } else if (type === 'int-or-string') result[name] = intOrString(asBytes(value));
    else if (Array.isArray(type)) {
      result[name] = [
        ...(Array.isArray(before) ? before : []),
        decode(asBytes(value), type[0], `${path}.${name}`),
      ];
    } else {
      const inner = decode(asBytes(value), type, `${path}.${name}`);
      if (Object.keys(inner).length > 0) result[name] = inner;
    }
  }
  return result;
}

/** The media type of these bodies. */
export const protobufType = 'application/vnd.kubernetes.protobuf';

/**
 * A body in Kubernetes' envelope (`k8s\0`, type and raw message) as JSON.
 * @throws KubeError BadRequest when malformed, UnsupportedMediaType for a kind or field not known here
 */
export function decodeProtobuf(body: Buffer): JsonObject {
  if (body.subarray(0, 4).toString('latin1') !== 'k8s\0') throw malformed();
  let type: [string, string] = ['', ''];
  let raw: Buffer = Buffer.alloc(0);
  for (const { number, value } of fieldsOf(body.subarray(4))) {
    if (number === 1) type = pairOf(asBytes(value));
    else if (number === 2) raw = asBytes(value);
  }
  const [apiVersion, kind] = type;
  // DeleteOptions come under the API version of what is deleted.
  const message = kinds[kind === 'DeleteOptions' ? 'v1 DeleteOptions' : `${apiVersion} ${kind}`];
  if (!message) throw unknownPart(`${kind} in version "${apiVersion}"`);
  return { apiVersion, kind, ...decode(raw, message, kind) };
}
