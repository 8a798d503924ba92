import { once } from 'node:events';
import { connect } from 'node:http2';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import type { ClusterLink } from '../../../tunnel-fargate/agent/cluster-link.ts';
import { type Access, clusterId, jsonOf, noUpgrade, startFixture, tenantId } from './access-fixture.ts';

const pods = `/clusters/${clusterId}/api/v1/pods`;

/** RFC 9113 §4.1. */
function frame(type: number, flags: number, id: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header.writeUInt8(type, 3);
  header.writeUInt8(flags, 4);
  header.writeUInt32BE(id, 5);
  return Buffer.concat([header, payload]);
}
const [settings, headers] = [4, 1];
const nothing = Buffer.alloc(0);
/** `:status` as a literal with the name's index (RFC 7541 §6.2.2). */
const statusBlock = (status: string) => Buffer.concat([Buffer.from([0x08, 3]), Buffer.from(status)]);

/** An HTTP/2 server by hand, for Node's own refuses to send such a status: every request gets it, and no body. */
function serve(socket: Socket, status: string): void {
  let input = Buffer.alloc(0);
  let isOpen = false;
  socket.on('error', () => undefined);
  socket.write(frame(settings, 0, 0, nothing));
  socket.on('data', (bytes: Buffer) => {
    input = Buffer.concat([input, bytes]);
    if (!isOpen && input.length >= 24) {
      isOpen = true;
      input = input.subarray(24);
    }
    while (isOpen && input.length >= 9 && input.length >= 9 + input.readUIntBE(0, 3)) {
      const [type, flags, id] = [input.readUInt8(3), input.readUInt8(4), input.readUInt32BE(5)];
      if (type === settings && (flags & 1) === 0) socket.write(frame(settings, 1, 0, nothing));
      if (type === headers) socket.write(frame(headers, 5, id, statusBlock(status)));
      input = input.subarray(9 + input.readUIntBE(0, 3));
    }
  });
}

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function accessTo(status: string): Promise<Access> {
  const server = createServer((socket) => serve(socket, status)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => server.close());
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  session.on('error', () => undefined);
  closing.push(() => session.destroy());
  const link: ClusterLink = {
    clusterId,
    tenantId,
    request: (head, { endStream }) => Promise.resolve(session.request(head, { endStream })),
    upgrade: noUpgrade,
  };
  const access = await startFixture(undefined);
  access.route = { kind: 'link', link };
  closing.push(() => access.close());
  return access;
}

test.each(['600', '999'])(
  'status %s of a cluster is 502 BAD_GATEWAY over HTTP/1.1 and HTTP/2',
  async (status) => {
    const access = await accessTo(status);
    for (const way of ['h1', 'h2'] as const) {
      const answer = await access[way](pods);
      expect([way, answer.status, jsonOf(answer).code]).toEqual([way, 502, 'BAD_GATEWAY']);
    }
  },
);

test('the highest status that HTTP knows is passed on', async () => {
  const access = await accessTo('599');
  expect([(await access.h1(pods)).status, (await access.h2(pods)).status]).toEqual([599, 599]);
});
