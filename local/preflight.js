// Run before every script of ours, on whatever Node the machine has: says in words what is missing.
import { existsSync } from 'node:fs';

const [major] = process.versions.node.split('.').map(Number);
if (!existsSync(new URL('../node_modules', import.meta.url))) {
  console.error('The dependencies are not installed. Run: npm ci');
  process.exit(1);
}
if (major < 24) {
  console.error(
    `Cattery runs on Node 24; this is ${process.version}.\n` +
      (process.platform === 'linux'
        ? 'On Linux npm brings it as an optional dependency: run `npm ci` without --omit=optional, and start through npm (`npm start`).'
        : 'Install Node 24 (https://nodejs.org, or `nvm install`) and try again.'),
  );
  process.exit(1);
}
