import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { tenantIdPattern } from '../core/tenant/identifier.ts';
import type { TrailFilter } from './audit-source.ts';
import { type ChainReport, type TrailObject, verifyTrail } from './audit-verification.ts';

type Surroundings = {
  readonly inDirectory: (directory: string, filter: TrailFilter) => Promise<readonly TrailObject[]>;
  readonly inBucket: (from: {
    bucket: string;
    tenantId: string;
    date?: string;
  }) => Promise<readonly TrailObject[]>;
  /** In the laptop stack that keeps its data there; without a tenant: of its demo tenant. Rejects when it does not run. */
  readonly inLaptop: (dataDirectory: string, filter: TrailFilter) => Promise<readonly TrailObject[]>;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
};

/** 0: intact. 1: broken. 2: the command line is wrong. 3: nothing was there, or it could not be read. */
export type ExitCode = 0 | 1 | 2 | 3;

const help = `
Each task of the tunnel server keeps one chain of records per tenant; each record holds the hash of the
one before. A record or an object that was altered, removed, moved or put in is found, and so is a day
whose beginning or end is missing.

What it cannot see: the last objects of a task that did not stop in order (its chain ends "open"), and a
task of whose chain nothing at all is left. Keep the heads that it prints somewhere else: a head is the
hash of a chain's last record, and a later run must find that record again.

Exit codes: 0 intact, 1 broken, 2 wrong command line, 3 nothing to verify or not readable.

Examples:
  aws s3 sync s3://LOG_BUCKET/tenant/TENANT/audit/date=2026-11-23/ day/date=2026-11-23/
  npm run audit -- verify day
  npm run audit -- verify --bucket LOG_BUCKET --tenant TENANT --date 2026-11-23
  npm run audit -- verify --local
`;

/** `npm run audit -- verify …`: proves that an audit trail is whole. */
export async function auditCommand(argv: readonly string[], io: Surroundings): Promise<ExitCode> {
  let exit: ExitCode = 0;
  const program = new Command('npm run audit --')
    .description('Proves that audit trails are whole.')
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err });

  program
    .command('verify')
    .description('check the hash chains of a directory of downloaded objects, or of a bucket')
    .addArgument(new Argument('[directory]', 'objects as they stand below tenant/<tenant>/audit/'))
    .addOption(new Option('--bucket <name>', 'the log bucket, instead of a directory'))
    .addOption(new Option('--local', 'the log bucket of the laptop stack, while npm start is running'))
    .addOption(
      new Option('--data <directory>', 'where the laptop stack keeps its data')
        .env('CATTERY_DATA')
        .default('.local'),
    )
    .addOption(new Option('--tenant <id>', 'whose trail').argParser(tenantOf))
    .addOption(new Option('--date <YYYY-MM-DD>', 'one day only, UTC').argParser(dateOf))
    .addOption(new Option('-o, --output <format>', 'how to answer').choices(['text', 'json']).default('text'))
    .addHelpText('after', help)
    .action(async (directory: string | undefined, options: VerifyOptions, command: Command) => {
      const objects = await objectsOf(directory, options, command);
      const reports = await verifyTrail(objects);
      io.out(options.output === 'json' ? `${JSON.stringify(reports)}\n` : textOf(reports));
      if (reports.length === 0) exit = 3;
      else if (reports.some(({ faults }) => faults.length > 0)) exit = 1;
    });

  async function objectsOf(
    directory: string | undefined,
    { bucket, tenant, date, local, data }: VerifyOptions,
    command: Command,
  ): Promise<readonly TrailObject[]> {
    const day = date === undefined ? {} : { date };
    if ([directory, bucket, local].filter((place) => place !== undefined).length !== 1) {
      return command.error('error: name one of a directory, --bucket and --local');
    }
    const filter = { ...day, ...(tenant === undefined ? {} : { tenantId: tenant }) };
    if (directory !== undefined) return io.inDirectory(directory, filter);
    if (local) return io.inLaptop(data, filter);
    if (bucket === undefined || tenant === undefined) return command.error('error: --bucket needs --tenant');
    return io.inBucket({ bucket, tenantId: tenant, ...day });
  }

  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exit;
  } catch (error) {
    // Commander has said it already, and helps with exit code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    io.err(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    return 3;
  }
}

type VerifyOptions = {
  bucket?: string;
  local?: true;
  data: string;
  tenant?: string;
  date?: string;
  output: 'text' | 'json';
};

function tenantOf(text: string): string {
  if (!tenantIdPattern.test(text)) throw new InvalidArgumentError('A tenant ID is t- and 20 of [a-z2-7].');
  return text;
}

function dateOf(text: string): string {
  const time = Date.parse(`${text}T00:00:00Z`);
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text) || Number.isNaN(time)) {
    throw new InvalidArgumentError('A day is YYYY-MM-DD.');
  }
  return text;
}

const ends: Readonly<Record<ChainReport['end'], string>> = {
  closed: 'ended in order',
  'day-end': 'its last day is complete',
  open: 'OPEN: the task still runs, or it crashed, or what came last was taken away',
};

function textOf(reports: readonly ChainReport[]): string {
  if (reports.length === 0) return 'There is nothing to verify.\n';
  const faults = reports.reduce((sum, report) => sum + report.faults.length, 0);
  const open = reports.filter(({ end }) => end === 'open').length;
  const verdict =
    faults > 0 ? `BROKEN: ${faults} faults` : `intact${open > 0 ? `; ${open} without an end` : ''}`;
  return `${reports.map(chainText).join('\n')}\n${verdict}\n`;
}

function chainText(report: ChainReport): string {
  const { tenantId, taskId, days, objects, records, firstSeq, lastSeq, fromStart, head, end, faults } =
    report;
  const start = fromStart ? 'from its start' : `continues an earlier day (before seq ${firstSeq})`;
  return [
    `tenant ${tenantId}, task ${taskId}`,
    `  ${days.join(', ')}: ${objects} objects, ${records} records, seq ${firstSeq} to ${lastSeq}, ${start}`,
    `  ${ends[end]}`,
    `  head ${head}`,
    ...faults.map(({ code, where, text }) => `  ${code} ${where}: ${text}`),
    '',
  ].join('\n');
}
