import { describe, expect, test } from '@jest/globals';
import { decodeProtobuf } from '../../../local/demo-cluster/kube-api-protobuf.ts';

const field = (number: number, bytes: Buffer | string) => {
  const content = Buffer.from(bytes);
  return Buffer.concat([Buffer.from([(number << 3) | 2, content.length]), content]);
};
const body = (kind: string, raw: Buffer, apiVersion = 'v1') =>
  Buffer.concat([
    Buffer.from('k8s\0'),
    field(1, Buffer.concat([field(1, apiVersion), field(2, kind)])),
    field(2, raw),
  ]);

function reasonOf(bytes: Buffer): unknown {
  try {
    return decodeProtobuf(bytes);
  } catch (error) {
    return (error as { reason?: unknown }).reason;
  }
}

describe('protobuf bodies', () => {
  test('become the JSON that the same object would have been', () => {
    const label = field(11, Buffer.concat([field(1, 'team'), field(2, 'cats')]));
    const metadata = field(1, Buffer.concat([field(1, 'a'), field(3, ''), label, field(8, '')]));
    const data = field(2, Buffer.concat([field(1, 'k'), field(2, 'v')]));
    expect(decodeProtobuf(body('ConfigMap', Buffer.concat([metadata, data])))).toEqual({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'a', labels: { team: 'cats' } },
      data: { k: 'v' },
    });
  });

  test('keep a zero that was set: replicas of a deployment', () => {
    const raw = field(2, Buffer.from([0x08, 0x00]));
    expect(decodeProtobuf(body('Deployment', raw, 'apps/v1'))).toMatchObject({ spec: { replicas: 0 } });
  });

  test('of an unknown kind, or with an unknown field that says something, are refused with UnsupportedMediaType', () => {
    expect(reasonOf(body('Secret', Buffer.alloc(0)))).toBe('UnsupportedMediaType');
    expect(reasonOf(body('ConfigMap', field(15, 'x')))).toBe('UnsupportedMediaType');
    expect(reasonOf(body('ConfigMap', field(15, '')))).toMatchObject({ kind: 'ConfigMap' });
  });

  test('that are cut at any byte or carry no envelope are refused with BadRequest, never half-read', () => {
    const whole = body('ConfigMap', field(1, field(1, 'name')));
    for (let length = 0; length < 6; length++)
      expect([length, typeof reasonOf(whole.subarray(0, length))]).toEqual([length, 'string']);
    expect(reasonOf(Buffer.from('{}'))).toBe('BadRequest');
    expect(reasonOf(whole.subarray(0, whole.length - 2))).toBe('BadRequest');
    expect(reasonOf(body('ConfigMap', Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])))).toBe('BadRequest');
    expect(reasonOf(body('ConfigMap', Buffer.from([0x0b])))).toBe('BadRequest');
  });
});
