/** `npm run shellcheck`: checks every shell script of the repository; installs the pinned shellcheck into build/ once. */
import { spawnSync } from 'node:child_process';
import { glob } from 'node:fs/promises';
import path from 'node:path';
import { findPython, pythonEnvironment } from './python-environment.ts';

const root = path.resolve(import.meta.dirname, '..');

const python = findPython();
if (python === undefined) {
  process.stdout.write(
    'No Python ≥ 3.11 with venv is here, so the shell scripts are not checked.\nskipped\n',
  );
  if (process.env.REQUIRE_PYTHON === '1') process.exitCode = 1;
} else {
  const environment = await pythonEnvironment(python, 'shellcheck', 'scripts/shellcheck-requirements.txt');
  const scripts: string[] = [];
  const generated = (name: string) => /^(?:node_modules|build|cdk\.out|\.local|\.git)$/.test(name);
  for await (const file of glob('**/*.sh', { cwd: root, exclude: generated })) scripts.push(file);
  const { status } = spawnSync(
    path.join(environment, 'bin/shellcheck'),
    ['--severity=style', ...scripts.sort()],
    {
      cwd: root,
      stdio: 'inherit',
    },
  );
  process.stdout.write(status === 0 ? `${scripts.length} checked: ${scripts.join(', ')}\n` : '');
  process.exitCode = status ?? 1;
}
