import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

export type Process = { readonly pid: number; readonly parent: number; readonly command: string };

/** Every process that descends from `pid`, itself left out. */
export async function descendantsOf(pid: number): Promise<Process[]> {
  const all = await processes();
  const found: Process[] = [];
  const parents = new Set([pid]);
  for (let size = 0; size !== parents.size;) {
    size = parents.size;
    for (const each of all) {
      if (!parents.has(each.parent) || parents.has(each.pid)) continue;
      parents.add(each.pid);
      found.push(each);
    }
  }
  return found;
}

/** Whether it still runs; a dead process that nobody has waited for does not. */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  if (process.platform !== 'linux') return true;
  return (await statusOf(pid))?.state !== 'Z';
}

async function processes(): Promise<Process[]> {
  if (process.platform !== 'linux') return listed();
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const read = pids.map(async (pid): Promise<Process[]> => {
    const status = await statusOf(pid);
    if (!status || status.state === 'Z') return [];
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    return [{ pid, parent: status.parent, command: command.replaceAll('\0', ' ').trim() }];
  });
  return (await Promise.all(read)).flat();
}

/** The command's name stands in parentheses and may hold anything; the state and the parent follow the last one. */
async function statusOf(pid: number): Promise<{ state: string; parent: number } | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  const [state = '', parent = ''] = text?.slice(text.lastIndexOf(')') + 2).split(' ') ?? [];
  return text === undefined ? undefined : { state, parent: Number(parent) };
}

async function listed(): Promise<Process[]> {
  const { stdout } = await promisify(execFile)('ps', ['-axo', 'pid=,ppid=,command=']);
  return stdout.split('\n').flatMap((line) => {
    const parts = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line);
    return parts ? [{ pid: Number(parts[1]), parent: Number(parts[2]), command: parts[3] ?? '' }] : [];
  });
}
