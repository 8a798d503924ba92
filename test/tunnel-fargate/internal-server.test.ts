import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { InternalServer, plain } from '../../tunnel-fargate/internal-server.ts';
import { closing } from './tunnel-fixture.ts';

describe('an internal port', () => {
  let server: InternalServer;
  let port: number;
  let errors: Error[];
  const sockets: Socket[] = [];

  const start = async (changed: { maxConnections?: number; requestTimeoutMs?: number } = {}) => {
    server = new InternalServer({
      listen: { host: '127.0.0.1', port: 0 },
      answer: (path) => {
        if (path === '/fails') throw new Error('no');
        return path === '/live' ? plain(200) : undefined;
      },
      onError: (error) => errors.push(error),
      ...changed,
    });
    port = await server.listen();
  };
  const open = async () => {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    sockets.push(socket);
    await once(socket, 'connect');
    return socket.resume();
  };
  const status = async (path: string, method = 'GET') =>
    (await fetch(`http://127.0.0.1:${port}${path}`, { method })).status;

  beforeEach(() => {
    errors = [];
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
    server.close();
  });

  test('answers GET and HEAD of what it knows, whatever the query; 404 and 405 else', async () => {
    await start();
    expect(await status('/live')).toBe(200);
    expect(await status('/live?now')).toBe(200);
    expect(await status('/live', 'HEAD')).toBe(200);
    expect(await status('/')).toBe(404);
    expect(await status('/live', 'DELETE')).toBe(405);
    expect(errors).toEqual([]);
  });

  test('answers 500 when an answer fails, and tells of it', async () => {
    await start();
    expect(await status('/fails')).toBe(500);
    expect(errors).toHaveLength(1);
    expect(await status('/live')).toBe(200);
  });

  test.each([
    ['nothing', ''],
    ['half a head', 'GET /live HTTP/1.1\r\nHost: x\r\nX-Slow: '],
    ['a head and half a body', 'POST /live HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf'],
  ])('ends a connection that brings %s', async (_what, bytes) => {
    await start({ requestTimeoutMs: 50 });
    const socket = await open();
    socket.write(bytes);
    await closing(socket);
    expect(await status('/live')).toBe(200);
  });

  test('ends a connection that brings a head byte by byte, however often', async () => {
    await start({ requestTimeoutMs: 100 });
    const socket = await open();
    const drip = setInterval(() => socket.write('a'), 5);
    socket.write('GET /live HTTP/1.1\r\nX-Drip: ');
    await closing(socket);
    clearInterval(drip);
    expect(await status('/live')).toBe(200);
  });

  test('refuses a head that is too large', async () => {
    await start();
    const socket = await open();
    socket.write(`GET /live HTTP/1.1\r\nX-Large: ${'a'.repeat(100_000)}\r\n\r\n`);
    await closing(socket);
    expect(await status('/live')).toBe(200);
  });

  test('holds a bounded number of connections, and serves again as soon as they are gone', async () => {
    await start({ maxConnections: 4 });
    const silent = [await open(), await open(), await open(), await open()];
    const beyond = connect(port, '127.0.0.1').on('error', () => undefined);
    sockets.push(beyond);
    await closing(beyond.resume());
    expect(silent.every(({ destroyed }) => !destroyed)).toBe(true);
    for (const socket of silent) socket.destroy();
    for (;;) {
      const answer = await status('/live').catch(() => undefined);
      if (answer === 200) break;
    }
  });
});
