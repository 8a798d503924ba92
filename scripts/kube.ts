/**
 * `npm run test:kube`: builds the Go module in test/kube/ (a real Kubernetes API), then runs the tests beside it.
 * `npm run test:kube -- --build` only builds: cold that takes some 12 minutes of CPU.
 */
import { goBinary, goVersion, interopModule, kubeModule } from './go-module.ts';
import { runTests } from './jest-run.ts';

const version = goVersion();
if (version === undefined) {
  process.stdout.write(
    'No Go ≥ 1.24 is here (https://go.dev/dl), so the tests against a real Kubernetes API do not run.\nskipped\n',
  );
  if (process.env.REQUIRE_GO === '1') process.exitCode = 1;
} else {
  const kube = await goBinary(kubeModule, version);
  if (!process.argv.includes('--build')) {
    const agent = await goBinary(interopModule, version);
    process.exitCode = await runTests('test/kube/**/*.kube.ts', { KUBE_BINARY: kube, INTEROP_BINARY: agent });
  }
}
