#!/usr/bin/env node
/** Started by users, and by kubectl for a token; changes this user's sign-in and kubeconfig, the tenant's API keys, and its image policy and exceptions. */
import { accessSync, constants, readFileSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { loopbackPorts } from '../core/credential/sign-in-schema.ts';
import { run } from './program.ts';

/** While a new refresh token is on its way to the disk: a Ctrl-C in kubectl must not lose it. */
let [critical, interruptedBy] = [0, ''];
const endedBy = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // Who insists has the last word.
    if (critical === 0 || interruptedBy) process.exit(endedBy[signal]);
    interruptedBy = signal;
    process.exitCode = endedBy[signal];
  });
}

const script = realpathSync(process.argv[1] ?? import.meta.filename);
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

process.exitCode = await run(process.argv.slice(2), {
  version,
  env: process.env,
  home: homedir(),
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  now: Date.now,
  wait: (ms) => setTimeout(ms),
  loopbackPorts,
  openBrowser: async (url) => {
    const { default: open } = await import('open');
    const browser = await open(url);
    // Where there is none, the printed address is left.
    browser.once('error', () => undefined);
  },
  trust: (pem) => setDefaultCACertificates([...getCACertificates('default'), pem]),
  uninterrupted: async (work) => {
    critical += 1;
    try {
      return await work();
    } finally {
      critical -= 1;
      if (critical === 0 && interruptedBy) process.exit();
    }
  },
  self: onPath() ? { command: 'cattery', args: [] } : { command: process.execPath, args: [script] },
});

/** Whether `cattery` on the PATH is this very program. */
function onPath(): boolean {
  return (process.env.PATH ?? '').split(path.delimiter).some((directory) => {
    try {
      const found = path.join(directory, 'cattery');
      accessSync(found, constants.X_OK);
      return path.dirname(realpathSync(found)) === path.dirname(script);
    } catch {
      return false;
    }
  });
}
