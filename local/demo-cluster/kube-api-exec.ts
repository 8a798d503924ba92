import type { Readable } from 'node:stream';
import { type Channels, channels, exitStatus } from './kube-api-channels.ts';
import type { PodLogs } from './kube-api-log.ts';
import { forTerminal, PodTerminal } from './pod-terminal.ts';
import { type CommandIo, type PodPlace, runCommand } from './pod-shell.ts';

const flag = (query: URLSearchParams, name: string) => ['true', '1'].includes(query.get(name) ?? '');

async function* nothing(): AsyncGenerator<Buffer> {
  // Ended before it begins.
}

/** What is typed, as lines; what a terminal shows of it goes to the screen. */
async function* typed(stdin: Readable, screen: (text: string) => Promise<void>): AsyncGenerator<Buffer> {
  const terminal = new PodTerminal();
  for await (const chunk of stdin as AsyncIterable<Buffer>) {
    for (const { line, echo, end } of terminal.type(chunk.toString('utf8'))) {
      if (echo) await screen(echo);
      if (line !== undefined) yield Buffer.from(line);
      if (end) return;
    }
  }
}

function ioOf(to: Channels, query: URLSearchParams): CommandIo {
  const terminal = flag(query, 'tty');
  const writer = (channel: number, wanted: boolean) => (bytes: Buffer | string) =>
    wanted ? to.send(channel, terminal ? forTerminal(bytes) : bytes) : Promise.resolve();
  const stdout = writer(channels.stdout, flag(query, 'stdout'));
  const screen = (text: string) => to.send(channels.stdout, text);
  return {
    stdin: !flag(query, 'stdin') ? nothing() : terminal ? typed(to.stdin, screen) : to.stdin,
    stdout,
    // A terminal has one screen.
    stderr: terminal ? stdout : writer(channels.stderr, flag(query, 'stderr')),
    signal: to.closed,
    terminal,
  };
}

/** `…/exec`: runs the query's command until it ends or the client goes. */
export async function serveExec(to: Channels, query: URLSearchParams, place: PodPlace): Promise<void> {
  const code = await runCommand(query.getAll('command'), ioOf(to, query), place);
  await to.end(exitStatus(code));
}

/** `…/attach`: shows what the pod writes to its log from now on, until one of both is gone. */
export async function serveAttach(
  to: Channels,
  query: URLSearchParams,
  { logs, namespace, pod, gone }: { logs: PodLogs; namespace: string; pod: string; gone: AbortSignal },
): Promise<void> {
  const { stdout } = ioOf(to, query);
  // A main process of the demo reads nothing.
  to.stdin.resume();
  const stop = logs.follow(namespace, pod, ({ text }) => void stdout(`${text}\n`));
  await new Promise<void>((resolve) => {
    for (const signal of [to.closed, gone]) {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    }
  });
  stop();
  await to.end(exitStatus(0));
}
