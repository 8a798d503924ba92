import { spawn } from 'node:child_process';
import { createWriteStream, readFileSync, type WriteStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type RestartPauses, SupervisedProcess } from '../../../local/process/supervised-process.ts';

describe('a supervised process', () => {
  let directory: string;
  let log: WriteStream;
  let lines: string[];
  let exits: string[];
  let supervised: SupervisedProcess | undefined;

  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'supervised-'));
    log = createWriteStream(path.join(directory, 'log'));
    lines = [];
    exits = [];
  });
  afterEach(async () => {
    await supervised?.stop();
    supervised = undefined;
    await new Promise((resolve) => log.end(resolve));
    await rm(directory, { recursive: true });
  });

  async function start(source: string, more: { stopTimeoutMs?: number; pauses?: RestartPauses } = {}) {
    const file = path.join(directory, 'entry.mjs');
    await writeFile(file, source);
    supervised = new SupervisedProcess({
      name: 'The sample',
      file,
      arguments: ['one', 'two'],
      environment: { SAMPLE: 'yes' },
      memoryMb: 64,
      log,
      stopTimeoutMs: more.stopTimeoutMs ?? 5_000,
      onExit: (detail) => exits.push(detail),
      onLine: (line) => lines.push(line),
      ...(more.pauses ? { pauses: more.pauses } : {}),
    });
    return supervised;
  }

  const until = async (holds: () => boolean) => {
    while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10));
  };

  test('has its arguments and its environment, nothing of ours, and its output is in the log', async () => {
    const process = await start(`
      console.log(JSON.stringify([process.argv.slice(2), process.env.SAMPLE, process.env.HOME ?? null]));
      console.error('on stderr');
      setInterval(() => {}, 1000);`);
    const logged = () => readFileSync(path.join(directory, 'log'), 'utf8');
    // Two pipes: either may be read first.
    await until(() => lines.length > 0 && logged().includes('on stderr'));
    expect(lines).toEqual(['[["one","two"],"yes",null]']);
    expect(process.pid).toBeGreaterThan(0);
    await process.stop();
    expect(logged()).toContain('"yes"');
  });

  test('is started again after each end, after a pause that doubles up to the longest', async () => {
    await start(`console.log(Date.now()); process.exit(3);`, {
      pauses: { first: 100, longest: 400, settled: 60_000 },
    });
    await until(() => lines.length >= 5);
    const times = lines.map(Number);
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    for (const [index, pause] of [100, 200, 400, 400].entries())
      expect(gaps[index]).toBeGreaterThanOrEqual(pause);
    expect(exits[0]).toBe('The sample ended (exit code 3); starting it again');
  });

  test('one that lived long enough waits the first pause only, however often it ends', async () => {
    await start(
      `console.log(Date.now());
       setTimeout(() => { console.log(Date.now()); process.exit(0); }, 150);`,
      { pauses: { first: 200, longest: 60_000, settled: 100 } },
    );
    await until(() => lines.length >= 9);
    const [ended = 0, begun = 0] = lines.slice(7).map(Number);
    // The fourth pause; doubled, it would be 1.6 s.
    expect(begun - ended).toBeLessThan(1_600);
  });

  test('killed by somebody, it says by which signal, and is another process afterwards', async () => {
    const process = await start(`console.log('up'); setInterval(() => {}, 1000);`, {
      pauses: { first: 10, longest: 10, settled: 60_000 },
    });
    await until(() => lines.length === 1);
    const { pid } = process;
    if (pid === undefined) throw new Error('no process');
    globalThis.process.kill(pid, 'SIGKILL');
    await until(() => lines.length === 2);
    expect(exits).toEqual(['The sample ended (SIGKILL); starting it again']);
    expect(process.pid).not.toBe(pid);
  });

  test('stopped, it ends by SIGTERM and is not started again', async () => {
    const process = await start(`
      process.on('SIGTERM', () => { console.log('draining'); process.exit(0); });
      console.log('up');
      setInterval(() => {}, 1000);`);
    await until(() => lines.length > 0);
    const startedAt = Date.now();
    await process.stop();
    expect(Date.now() - startedAt).toBeLessThan(2_500);
    await until(() => lines.includes('draining'));
    expect([process.pid, exits]).toEqual([undefined, []]);
  });

  test('one that ignores SIGTERM gets a second one at 60 % of its time, and SIGKILL at the end of it', async () => {
    const process = await start(
      `process.on('SIGTERM', () => console.log('SIGTERM ' + Date.now()));
       console.log('up');
       setInterval(() => {}, 1000);`,
      { stopTimeoutMs: 500 },
    );
    await until(() => lines.length > 0);
    const startedAt = Date.now();
    await process.stop();
    expect(Date.now() - startedAt).toBeGreaterThanOrEqual(490);
    await until(() => lines.length === 3);
    const [first = 0, second = 0] = lines.slice(1).map((line) => Number(line.split(' ')[1]));
    expect(second - first).toBeGreaterThanOrEqual(250);
    expect([process.pid, exits]).toEqual([undefined, []]);
  });

  test('stopped during the pause before a restart, it stays away', async () => {
    const pauses = { first: 150, longest: 150, settled: 60_000 };
    const stopped = await start(`console.log('up'); process.exit(1);`, { pauses });
    await until(() => exits.length === 1);
    await stopped.stop();
    // Another with the same pause shows that the pause is over.
    await start(`console.log('another'); process.exit(1);`, { pauses });
    await until(() => lines.length === 3);
    expect([lines, stopped.pid]).toEqual([['up', 'another', 'another'], undefined]);
  });

  test('ends with its parent, even when that is killed by SIGKILL', async () => {
    const connections = createServer();
    await new Promise<void>((resolve) => connections.listen(0, '127.0.0.1', resolve));
    const { port } = connections.address() as AddressInfo;
    const entry = path.join(directory, 'entry.mjs');
    await writeFile(
      entry,
      `import { connect } from 'node:net'; connect(${port}, '127.0.0.1'); setInterval(() => {}, 1000);`,
    );
    const gone = new Promise<void>((resolve) => {
      connections.once('connection', (socket) => {
        socket.resume().once('error', () => undefined);
        socket.once('close', () => resolve());
        parent.kill('SIGKILL');
      });
    });
    const parent = spawn(process.execPath, [path.join(import.meta.dirname, 'parent.ts'), entry], {
      stdio: 'inherit',
    });
    const ended = new Promise((resolve) => parent.once('exit', (_code, signal) => resolve(signal)));
    expect(await ended).toBe('SIGKILL');
    // The child's connection closes when the child is gone.
    await gone;
    await new Promise((resolve) => connections.close(resolve));
  });
});
