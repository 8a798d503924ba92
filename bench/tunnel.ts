/** `npm run bench`: puts the works of docs/tunnel.md on our tunnel and on others beside it; prints the figures, with --write also into bench/results and docs/benchmarks.md. */
import { spawnSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { cpus, type } from 'node:os';
import path from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { goPeers, ratholeProgram } from './tunnel/programs.ts';
import { type ResultFile, type ResultRow, resultFile, rowsOf } from './tunnel/results.ts';
import { tablesOf, withTables } from './tunnel/result-table.ts';
import { measureRounds } from './tunnel/rounds.ts';
import { makeSetting } from './tunnel/setting.ts';
import { verdicts } from './tunnel/targets.ts';
import { type Work, works } from './tunnel/works.ts';

const fewestRounds = 5;

const command: Command = new Command('npm run bench --')
  .description(
    'Measures the tunnel beside Go relays on hashicorp/yamux and beside rathole, all on loopback: a source, a server, ' +
      'an agent and a sink, one process each.',
  )
  .addOption(
    new Option('--only <works>', 'a list of works: W1,W3').argParser(chosenWorks).default(works, 'all'),
  )
  .option('--runs <n>', `rounds of each, interleaved; --write wants ${fewestRounds} or more`, rounds, 5)
  .option(
    '--profile <directory>',
    'CPU profiles of our servers, one a process; they cost a tenth or so themselves',
  )
  .option('--quick', 'one round without a warm-up, to see that it works', false)
  .option(
    '--write',
    'keep the figures: bench/results/<date>.json and the tables in docs/benchmarks.md',
    false,
  )
  .parse();
const options = command.opts<{
  only: readonly Work[];
  runs: number;
  quick: boolean;
  write: boolean;
  profile?: string;
}>();
if (options.write && (options.quick || options.profile !== undefined || options.runs < fewestRounds)) {
  command.error(`--write keeps whole results only: ${fewestRounds} rounds or more, not --quick or --profile`);
}

const say = (text: string) => process.stdout.write(`${text}\n`);
const runs = options.quick ? 1 : options.runs;
const method =
  `\`npm run bench\`: source, server, agent and sink are one process each on loopback; TLS 1.3 with client ` +
  `certificates on the tunnel; every payload is compared with what was sent. Each figure is the median of ${runs} ` +
  `rounds in which the peers take turns, after a round that does not count. CPU is the server process's own, user and ` +
  `system, from /proc. A ratio is the median of the rounds' ratios: pass-through and rathole to the Go relay of TCP, ` +
  `HTTPS to the Go relay with a stream per request.`;

const peers = await goPeers();
if (peers === undefined) {
  say(
    'No Go ≥ 1.24 is here (https://go.dev/dl): the source, the agent and the sink are in Go, so nothing is measured.',
  );
  process.exitCode = 1;
} else {
  await measure(peers);
}

async function measure(program: string): Promise<void> {
  const setting = await makeSetting({
    peers: program,
    rathole: ratholeProgram(),
    nodeFlags:
      options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${path.resolve(options.profile)}`],
  });
  const rows: ResultRow[] = [];
  const notes = new Set<string>();
  try {
    for (const work of options.only) {
      say(`\n${work.id}: ${work.title}\n${work.scale}`);
      const from = performance.now();
      const { measured, absent } = await measureRounds(work, setting, { runs, warm: !options.quick });
      for (const reason of absent) notes.add(reason);
      const found = rowsOf(work.id, measured);
      rows.push(...found);
      for (const { metric, unit, peer, value, ratioToGoRelay } of found) {
        const ratio = ratioToGoRelay === null ? '' : `×${ratioToGoRelay.toFixed(2)}`;
        say(
          `${peer.padEnd(52)} ${metric.padEnd(46)} ${String(value).padStart(8)} ${unit.padEnd(14)} ${ratio}`,
        );
      }
      say(`${((performance.now() - from) / 1000).toFixed(0)} s`);
    }
  } finally {
    await setting.close();
  }
  const result: ResultFile = { date: new Date().toISOString(), machine: machine(), rows };
  for (const note of notes) say(note);
  say('');
  for (const { text, peer, metric, bound, measured, isMet } of verdicts(rows)) {
    const about = `${text} (${peer}: ${metric})`;
    say(`${isMet ? 'met   ' : 'MISSED'} ${about.padEnd(90)} ${measured}, at most ${bound}`);
  }
  if (options.write) await keep(resultFile.parse(result), [...notes]);
}

async function keep(measured: ResultFile, notes: readonly string[]): Promise<void> {
  const directory = path.join(import.meta.dirname, 'results');
  const file = path.join(directory, `${measured.date.slice(0, 10)}.json`);
  await mkdir(directory, { recursive: true });
  const rows = withOthersOf(await readFile(file, 'utf8').catch(() => undefined), measured);
  const result: ResultFile = { ...measured, rows };
  await writeFile(file, `${JSON.stringify(result, null, 2)}\n`);
  const document = path.join(import.meta.dirname, '../docs/benchmarks.md');
  const tables = tablesOf(result, works, method, notes);
  await writeFile(document, withTables(await readFile(document, 'utf8'), tables));
  say(`kept in ${file} and ${document}`);
}

/** With `--only`, the works of the same day and machine that were not measured again stay as they were. */
function withOthersOf(former: string | undefined, { machine: here, rows }: ResultFile): ResultRow[] {
  const kept = former === undefined ? undefined : resultFile.parse(JSON.parse(former));
  if (kept?.machine !== here) return rows;
  const again = new Set(rows.map(({ work }) => work));
  const all = [...kept.rows.filter(({ work }) => !again.has(work)), ...rows];
  const order = works.map(({ id }) => id);
  return all.sort((one, other) => order.indexOf(one.work) - order.indexOf(other.work));
}

function machine(): string {
  const all = cpus();
  const go = spawnSync('go', ['env', 'GOVERSION'], { encoding: 'utf8' }).stdout.trim().replace('go', 'Go ');
  return `${all.length} CPUs of ${all[0]?.model.trim() ?? 'an unknown kind'}, ${type()}, Node ${process.version}, ${go}`;
}

function chosenWorks(text: string): readonly Work[] {
  const ids = text.split(',').map((id) => id.trim().toUpperCase());
  const known = [...new Set(works.map(({ id }) => id))];
  if (!ids.every((id) => known.includes(id))) throw new InvalidArgumentError(`there are ${known.join(', ')}`);
  return works.filter(({ id }) => ids.includes(id));
}

function rounds(text: string): number {
  const value = Number(text);
  if (!(Number.isInteger(value) && value >= 1 && value <= 100)) throw new InvalidArgumentError('1 to 100');
  return value;
}
