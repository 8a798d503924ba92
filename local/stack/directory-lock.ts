import { rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import path from 'node:path';

/** Whether somebody listens on the socket; one that a killed process left behind refuses. */
const answers = (socket: string): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = connect(socket);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });

/**
 * Keeps a second stack off the same data: a Unix socket in the directory that is listened on for as long as this
 * process lives, so a SIGKILL leaves nothing that must be cleaned up. Throws when another stack holds it.
 */
export async function lockDirectory(directory: string): Promise<{ release(): Promise<void> }> {
  const absolute = path.join(directory, 'lock.sock');
  const relative = path.relative(process.cwd(), absolute);
  // Socket paths are at most 103 bytes on macOS, 107 on Linux.
  const socket = relative.length < absolute.length ? relative : absolute;
  if (await answers(socket)) {
    throw new Error(
      `Another stack is running on ${directory}. Stop it, or choose another place with --data.`,
    );
  }
  await rm(socket, { force: true });
  const server = createServer((peer) => peer.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socket, resolve);
  });
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}
