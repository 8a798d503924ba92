/** `npm run bench:peers`: builds what `npm run bench` measures beside (bench/peers by Go, rathole by cargo) into build/peers. */
import { goPeers, installRathole, ratholeProgram } from './tunnel/programs.ts';

const peers = await goPeers();
if (peers === undefined) {
  process.stdout.write('No Go ≥ 1.24 is here (https://go.dev/dl): without it nothing is measured.\n');
  process.exitCode = 1;
} else {
  process.stdout.write(`${peers}\n`);
}
const complaint = installRathole();
process.stdout.write(
  complaint === undefined ? `${ratholeProgram() ?? ''}\n` : `rathole takes no part: ${complaint}\n`,
);
