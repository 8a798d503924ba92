/** `npm run fuzz`: random sessions and mutated bytes against the mux until the time is over; exit code 1 on a finding. */
import { Command, InvalidArgumentError } from 'commander';
import { type Finding, fuzzOnce } from '../test/tunnel-fargate/yamux/fuzz/fuzz.ts';

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('must be a whole number.');
  return value;
}

const options = new Command('npm run fuzz --')
  .description('Feeds the mux (tunnel-fargate/yamux/) with what it should never meet.')
  .option('--seconds <number>', 'how long', whole, 60)
  .option(
    '--seed <number>',
    'where to begin; the same seed gives the same input',
    whole,
    Date.now() % 1_000_000_000,
  )
  .option('--iterations <number>', 'stop after so many', whole)
  .addHelpText('after', '\nExit codes: 0 nothing was found, 1 a finding, 2 wrong command line.')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .parse()
  .opts<{ seconds: number; seed: number; iterations?: number }>();

const print = (text: string) => void process.stdout.write(`${text}\n`);

let seed = options.seed;

function report({ seed: found, faults, bytes }: Finding): void {
  print(`finding at iteration ${seed - options.seed}, seed ${found}`);
  for (const fault of faults) print(`  ${fault}`);
  if (bytes !== undefined) print(`  bytes: ${bytes}`);
  print(`again: npm run fuzz -- --seed ${found} --iterations 1`);
  process.exitCode = 1;
}

const stop = (error: unknown) => {
  const { stack, message } = error instanceof Error ? error : new Error(String(error));
  report({ seed, faults: [`nobody caught: ${stack ?? message}`] });
  process.exit(1);
};
process.on('uncaughtException', stop);
process.on('unhandledRejection', stop);

print(`seed ${options.seed}, ${options.seconds} s`);
const end = performance.now() + options.seconds * 1000;
const last = options.seed + (options.iterations ?? Infinity);
for (; seed < last && performance.now() < end; seed += 1) {
  const finding = await fuzzOnce(seed);
  if (finding === undefined) continue;
  report(finding);
  break;
}
print(`${seed - options.seed} iterations without a finding`);
