/** Started by durability.test.ts, which kills it: an endpoint on the directory given, its URL on standard output. */
import { startAwsEndpoint } from '../../../local/aws/endpoint.ts';
import { endpointOptions } from './endpoint-fixture.ts';

const [, , dataDir = ''] = process.argv;
const endpoint = await startAwsEndpoint(endpointOptions(dataDir));
process.stdout.write(`${JSON.stringify({ url: endpoint.url, operator: endpoint.operator })}\n`);
