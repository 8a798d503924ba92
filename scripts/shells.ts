/**
 * `npm run test:shells`: tries install.sh and scan-report.sh in every shell that is here. `npm test` tries them in the
 * machine's `sh`, and leaves out what takes long.
 */
import { runTests } from './jest-run.ts';

process.exitCode = await runTests(
  'test/functions/install-assets/{*.shell.ts,install-script*.test.ts,scan-report-script.test.ts}',
  { CATTERY_SHELLS: 'all' },
);
