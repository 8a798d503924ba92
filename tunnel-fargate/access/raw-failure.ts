import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Problem } from '../../core/problem/problem.ts';
import { failureAnswer } from './failure-answer.ts';

/** How long the other side may take to read the answer and close, ms. */
const lingerMs = 1_000;

const failing = new WeakSet<Duplex>();

/** Answers a problem on an HTTP/1.1 connection of which no request could be made, and closes it. */
export function rawFailure(socket: Duplex, problem: Problem): void {
  if (failing.has(socket)) return;
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const { status, headers, body } = failureAnswer(problem, { requestId: randomUUID(), kubernetes: false });
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  failing.add(socket);
  socket.on('error', () => socket.destroy());
  // Read on, or the system resets the connection and the answer with it.
  const cut = setTimeout(() => socket.destroy(), lingerMs);
  socket.once('close', () => clearTimeout(cut));
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
  socket.resume();
}
