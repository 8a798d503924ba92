import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import type { Outcome } from './lost-links.ts';

const program = path.join(import.meta.dirname, 'lost-links.ts');

/** In a process of its own: jest would take what nobody catches for its own. */
async function loseLinks(rounds: number, seed: number): Promise<Outcome> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, String(rounds), String(seed)]);
  return JSON.parse(stdout) as Outcome;
}

test('a link lost at any moment of TLS, HTTP/2 or an upload inside ends its requests, and nothing is uncaught', async () => {
  const { uncaught, requests, stored, afterwards } = await loseLinks(120, 12);
  expect(uncaught).toEqual([]);
  expect(afterwards).toBe('hello');
  // Every way out was taken: before the handshake, within it, after it, and not at all.
  expect(Object.keys(requests).sort()).toEqual(
    expect.arrayContaining(['BAD_GATEWAY', 'CLUSTER_NOT_CONNECTED', 'a stream broke', 'answered']),
  );
  expect(Object.values(requests).reduce((sum, number) => sum + number)).toBe(240);
  expect(stored).toBeGreaterThan(0);
});
