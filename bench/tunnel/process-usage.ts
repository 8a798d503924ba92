import { readFile } from 'node:fs/promises';

/** What a process has used so far. */
export type ProcessUsage = {
  /** User and system time of all its threads, s; the kernel counts in steps of 10 ms. */
  readonly cpuSeconds: number;
  /** Resident memory, bytes. */
  readonly rssBytes: number;
};

/** Of Linux, in each process's stat, whatever the kernel's own tick is (man 5 proc: sysconf(_SC_CLK_TCK)). */
const ticksPerSecond = 100;

/** Rejects when the process is gone. */
export async function processUsage(pid: number): Promise<ProcessUsage> {
  const [stat, status] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'utf8'),
    readFile(`/proc/${pid}/status`, 'utf8'),
  ]);
  return { cpuSeconds: cpuSecondsOf(stat), rssBytes: rssBytesOf(status) };
}

/** Of the text of /proc/<pid>/stat: utime and stime are the fields 14 and 15; the second, the name, may hold blanks and parentheses. */
export function cpuSecondsOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const seconds = (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  if (Number.isFinite(seconds)) return seconds;
  throw new Error(`/proc/<pid>/stat has another shape than expected: ${stat}`);
}

/** Of the text of /proc/<pid>/status: VmRSS, in KiB there. */
export function rssBytesOf(status: string): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kibibytes !== undefined) return Number(kibibytes) * 1024;
  throw new Error('/proc/<pid>/status names no VmRSS');
}
