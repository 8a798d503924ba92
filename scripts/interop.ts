/** `npm run test:interop`: builds the Go module in test/interop/, then runs the tests beside it, which use it as the other side. */
import { goBinary, goVersion, interopModule } from './go-module.ts';
import { runTests } from './jest-run.ts';

const version = goVersion();
if (version === undefined) {
  process.stdout.write(
    'No Go ≥ 1.24 is here (https://go.dev/dl), so the tests against hashicorp/yamux do not run.\nskipped\n',
  );
  if (process.env.REQUIRE_GO === '1') process.exitCode = 1;
} else {
  const binary = await goBinary(interopModule, version);
  process.exitCode = await runTests('test/interop/**/*.interop.ts', { INTEROP_BINARY: binary });
}
