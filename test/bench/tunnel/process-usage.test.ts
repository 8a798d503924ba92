import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import { cpuSecondsOf, processUsage, rssBytesOf } from '../../../bench/tunnel/process-usage.ts';

const stat = (name: string) =>
  `4242 (${name}) S 1 4242 4242 0 -1 4194560 5000 0 3 0 1234 766 50 60 20 0 11 0 900000 12345678 3000 18446744073709551615`;

describe('/proc/<pid>/stat', () => {
  test('user and system time are added and given in seconds; children do not count', () => {
    expect(cpuSecondsOf(stat('node'))).toBe(20);
  });

  test('a name with blanks and parentheses moves no field', () => {
    expect(cpuSecondsOf(stat('a) b (c'))).toBe(20);
  });

  test('another shape is refused', () => {
    expect(() => cpuSecondsOf('4242 (node) S 1')).toThrow('another shape');
  });
});

describe('/proc/<pid>/status', () => {
  test('resident memory is given in bytes', () => {
    expect(rssBytesOf('VmHWM:\t  90000 kB\nVmRSS:\t   81920 kB\nRssAnon:\t 1 kB\n')).toBe(83_886_080);
  });

  test('a process without memory of its own is refused', () => {
    expect(() => rssBytesOf('Name:\tkthreadd\n')).toThrow('no VmRSS');
  });
});

(process.platform === 'linux' ? describe : describe.skip)('a running process', () => {
  test('that works is seen to use the CPU and memory', async () => {
    const child = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' });
    try {
      await once(child, 'spawn');
      const pid = child.pid ?? 0;
      let usage = await processUsage(pid);
      while (usage.cpuSeconds < 0.05) usage = await processUsage(pid);
      expect(usage.rssBytes).toBeGreaterThan(1024 * 1024);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });

  test('that is gone is an error, not a zero', async () => {
    const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
    await once(child, 'exit');
    await expect(processUsage(child.pid ?? 0)).rejects.toThrow('ENOENT');
  });
});
