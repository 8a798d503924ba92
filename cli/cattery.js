#!/usr/bin/env node
// Started as `cattery` on whatever Node the machine has: says in words when that is too old, else runs cattery.ts.
import process from 'node:process';

const [major] = process.versions.node.split('.').map(Number);
if (major < 24) {
  process.stderr.write(
    `cattery runs on Node 24 or later; this is ${process.version} (${process.execPath}).\n` +
      'Install Node 24 (https://nodejs.org), or start cattery with `npm run cattery --` in its own folder, which brings it along on Linux.\n',
  );
  process.exitCode = 1;
} else {
  await import('./cattery.ts');
}
