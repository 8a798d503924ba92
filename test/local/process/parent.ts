/** Run by supervised-process.test.ts: supervises the file it is given, until it is killed. */
import { createWriteStream } from 'node:fs';
import { SupervisedProcess } from '../../../local/process/supervised-process.ts';

const [file = ''] = process.argv.slice(2);
new SupervisedProcess({
  name: 'The child',
  file,
  environment: {},
  log: createWriteStream('/dev/null'),
  stopTimeoutMs: 1_000,
});
