/** `npm run audit -- …`, for auditors: reads audit trails and proves that they are whole; changes nothing. */
import path from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import { readState } from '../local/stack/state.ts';
import { readAssembly } from '../local/template/assembly.ts';
import { readDeployment } from '../local/template/deployment.ts';
import { auditCommand } from './audit-command.ts';
import { trailInBucket, trailInDirectory, type TrailFilter } from './audit-source.ts';

async function trailInLaptop(dataDirectory: string, filter: TrailFilter) {
  const directory = path.resolve(dataDirectory);
  const state = await readState(directory);
  if (!state) throw new Error('The laptop stack is not running. Start it with: npm start');
  const { endpoint, region, credentials } = state.operator;
  const { container } = readDeployment(await readAssembly(path.join(directory, 'cdk.out')));
  const bucket = container.environment.LOG_BUCKET ?? '';
  const s3 = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  return trailInBucket(s3, { tenantId: state.stack.tenantId, ...filter, bucket });
}

process.exitCode = await auditCommand(process.argv.slice(2), {
  inDirectory: trailInDirectory,
  inBucket: (from) => trailInBucket(new S3Client(), from),
  inLaptop: trailInLaptop,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
});
