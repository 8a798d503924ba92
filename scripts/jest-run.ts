import { spawn } from 'node:child_process';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');

/** Runs the tests whose files fit a pattern, with this command's own arguments; resolves with jest's exit code. */
export function runTests(testMatch: string, environment: Readonly<Record<string, string>>): Promise<number> {
  const jest = [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    path.join(root, 'node_modules/jest/bin/jest.js'),
    ...process.argv.slice(2),
    // Last: it would take every name that follows for a pattern of its own.
    '--testMatch',
    `<rootDir>/${testMatch}`,
  ];
  const env = { ...process.env, ...environment };
  const child = spawn(process.execPath, jest, { cwd: root, stdio: 'inherit', env });
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
}
