/** scan-report.sh as the stack serves it, and the commands of docs/image-scans.md with recorded output of the scanners. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import * as z from 'zod';
import { apiKeyIssued } from '../../core/credential/api-key-schema.ts';
import { stackState } from '../../local/stack/state.ts';
import { alpineDigest } from './scan.ts';
import { root, run, type Stack } from './stack.ts';

const tools = ['curl', 'sha256sum', 'gzip', 'bash'];
const missing = tools.filter((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0);

/** Stands for a scanner: keeps its arguments, and prints what the scanner once printed, or puts it into --output. */
const recorded = (report: string) => `#!/bin/sh
printf '%s\\n' "$(basename "$0") $*" >> "$CALLS"
output=
while [ $# -gt 0 ]; do
  [ "$1" != --output ] || output=$2
  shift
done
if [ -n "$output" ]; then cat '${report}' > "$output"; else cat '${report}'; fi
`;

const workflow = z.object({
  jobs: z.object({
    image: z.object({
      env: z.record(z.string(), z.string()),
      steps: z.array(z.object({ run: z.string(), env: z.record(z.string(), z.string()).optional() })),
    }),
  }),
});
const pipeline = z.object({
  'image-verdict': z.object({
    script: z.array(z.string()),
    allow_failure: z.object({ exit_codes: z.int() }),
  }),
});

/** The blocks of a language under a heading of the page, in their order. */
async function blocks(heading: string, language: string): Promise<string[]> {
  const page = await readFile(path.join(root, 'docs/image-scans.md'), 'utf8');
  const section = page.split(/^### /m).find((each) => each.startsWith(`${heading}\n`)) ?? '';
  const found = [...section.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'gm'))];
  if (found.length === 0) throw new Error(`The page has no ${language} under ${heading}.`);
  return found.map(([, block = '']) => block);
}

export function scanReport(stack: () => Stack): void {
  if (missing.length > 0)
    console.log(`${missing.join(', ')} missing: the ways in of docs/image-scans.md are not tried`);
  (missing.length > 0 ? describe.skip : describe)('the ways in of docs/image-scans.md', () => {
    const grypeDigest = 'sha256:10008791acbc5866de04108746a02a0c4029ce3a4400a9b3dad45d7f2245f9da';
    const image = 'registry.example/shop/web:1';
    let directory: string;
    let key: string;
    let token: string;
    beforeAll(async () => {
      directory = path.join(stack().process.data, 'scan-report');
      await mkdir(path.join(directory, 'bin'), { recursive: true });
      const reports = path.join(root, 'test/fixtures/scan-reports');
      for (const [name, report] of [
        ['trivy', 'trivy-alpine-310.json'],
        ['grype', 'grype-ghsa.json'],
      ] as const)
        await writeFile(path.join(directory, 'bin', name), recorded(path.join(reports, report)), {
          mode: 0o755,
        });
      // A tenant of its own: others count their images.
      const { stdout } = await stack().local('tenant', 'create', 'scan-report');
      token = stackState.parse(JSON.parse(stdout)).adminToken;
      const made = await stack().api.send('POST', '/v1/api-keys', {
        body: JSON.stringify({ name: 'ci', scopes: ['scans:write'] }),
        headers: { 'content-type': 'application/json' },
        token,
      });
      key = apiKeyIssued.parse(made.json).key;
    });

    /** In a directory of its own, with the reader's values. */
    async function follow(name: string, command: readonly string[], more: Record<string, string> = {}) {
      const cwd = path.join(directory, name);
      await mkdir(cwd);
      const calls = path.join(cwd, 'calls');
      const [shell = '', ...given] = command;
      const outcome = await run(shell, given, {
        cwd,
        environment: {
          PATH: `${path.join(directory, 'bin')}:${process.env.PATH ?? ''}`,
          CURL_CA_BUNDLE: stack().state.caFile,
          CALLS: calls,
          IMAGE: image,
          DIGEST: alpineDigest,
          ...more,
          CATTERY: stack().state.apiUrl,
          CATTERY_API_KEY: key,
        },
      });
      return { ...outcome, calls: await readFile(calls, 'utf8') };
    }
    const scannerOf = async (digest: string) => {
      const { json } = await stack().api.get(`/v1/images/${digest}`, { token });
      return (json as { scans?: { scanner: string }[] }).scans?.map(({ scanner }) => scanner);
    };

    test('scan-report.sh knows this control plane, may be cached, and its checksum is that of the bytes served', async () => {
      const [script, checksum] = await Promise.all(
        ['/scan-report.sh', '/scan-report.sh.sha256'].map((each) => stack().api.get(each, { token: null })),
      );
      expect(script?.headers['content-type']).toBe('text/x-shellscript; charset=utf-8');
      expect(script?.text).toContain(`api_url='${stack().state.apiUrl}'\n`);
      const sum = createHash('sha256')
        .update(script?.text ?? '')
        .digest('hex');
      expect(checksum?.text).toBe(`${sum}  scan-report.sh\n`);
      const etag = String(script?.headers.etag);
      const again = await stack().api.get('/scan-report.sh', {
        token: null,
        headers: { 'if-none-match': etag },
      });
      expect(again.status).toBe(304);
    });

    test('scan-report.sh takes what Trivy and Grype print, and prints the verdicts', async () => {
      const [commands = ''] = await blocks('scan-report.sh', 'sh');
      const { code, stdout, stderr, calls } = await follow('script', ['sh', '-euc', commands]);
      expect({ code, stderr, calls }).toEqual({
        code: 0,
        stderr: '',
        calls: `trivy image --format json ${image}\ngrype -o json ${image}\n`,
      });
      expect(stdout).toMatch(
        new RegExp(
          `^scan-report\\.sh: OK\nwarn  ${alpineDigest}\n[^]*Verdict: warn\n(?:pass|warn)  ${grypeDigest}\n[^]*Verdict: `,
        ),
      );
      expect(await scannerOf(alpineDigest)).toEqual([expect.stringMatching(/^trivy/)]);
      expect(await scannerOf(grypeDigest)).toEqual([expect.stringMatching(/^grype 0\.65/)]);
    });

    test('a key without the right, and one of nobody, end it with 4 and the code', async () => {
      const upload = (CATTERY_API_KEY: string) =>
        run(
          'sh',
          [path.join(directory, 'script', 'scan-report.sh'), '--ca-file', stack().state.caFile, report],
          {
            cwd: directory,
            environment: { CATTERY_API_KEY },
          },
        );
      const report = path.join(root, 'test/fixtures/scan-reports/grype-ghsa.json');
      const made = await stack().api.send('POST', '/v1/api-keys', {
        body: JSON.stringify({ name: 'reader', scopes: ['images:read'] }),
        headers: { 'content-type': 'application/json' },
        token,
      });
      const reader = await upload(apiKeyIssued.parse(made.json).key);
      expect(reader).toMatchObject({
        code: 4,
        stdout: '',
        stderr: expect.stringContaining('(ACCESS_DENIED, '),
      });
      const nobody = await upload(`${key.slice(0, -1)}${key.endsWith('a') ? 'b' : 'a'}`);
      expect(nobody).toMatchObject({
        code: 4,
        stdout: '',
        stderr: expect.stringContaining('(UNAUTHENTICATED, '),
      });
    });

    test('curl alone takes both, compressed too', async () => {
      const [trivy = '', grype = ''] = await blocks('curl alone', 'sh');
      const first = await follow('curl-trivy', ['sh', '-euc', trivy]);
      expect(first).toMatchObject({
        code: 0,
        stderr: '',
        stdout: expect.stringContaining('"verdict":"warn"'),
      });
      const second = await follow('curl-grype', ['sh', '-euc', grype]);
      expect(second).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining(grypeDigest) });
    });

    test('the steps of GitHub Actions do what they say, each as its own bash -e', async () => {
      const [text = ''] = await blocks('GitHub Actions', 'yaml');
      const { env, steps } = workflow.parse(parse(text)).jobs.image;
      expect(env).toMatchObject({ IMAGE: expect.any(String) });
      expect(steps.flatMap((step) => Object.keys(step.env ?? {}))).toEqual(['CATTERY_API_KEY', 'DIGEST']);
      const each = steps.map((step) => `bash -e <<'STEP'\n${step.run}\nSTEP\n`).join('');
      const { code, stdout, calls } = await follow('github', ['bash', '-ec', each]);
      expect({ code, calls }).toEqual({
        code: 0,
        calls: `trivy image --format json --output trivy.json ${image}\n`,
      });
      expect(stdout).toContain(`warn  ${alpineDigest}\n`);
    });

    test('the job of GitLab CI ends a warning with the code that it allows', async () => {
      const [text = ''] = await blocks('GitLab CI', 'yaml');
      const { script, allow_failure: allowed } = pipeline.parse(parse(text))['image-verdict'];
      const { code, stdout, calls } = await follow('gitlab', [
        'bash',
        '-eo',
        'pipefail',
        '-c',
        script.join('\n'),
      ]);
      expect({ code, calls }).toEqual({ code: allowed.exit_codes, calls: `grype -o json ${image}\n` });
      expect(stdout).toContain('Verdict: warn\n');
    });

    test('trivy-operator is given an address and a header that the API takes its reports with', async () => {
      const [text = ''] = await blocks('trivy-operator', 'yaml');
      const settings = z.record(z.string(), z.string()).parse(parse(text));
      const { pathname } = new URL(settings.OPERATOR_WEBHOOK_BROADCAST_URL ?? '');
      // As it reads them: split at commas, and each at its first colon.
      const [header = '', ...others] = (settings.OPERATOR_WEBHOOK_BROADCAST_CUSTOM_HEADERS ?? '').split(',');
      expect([others, header]).toEqual([[], 'Authorization:Bearer cak_…']);
      const send = (body: string | Buffer) =>
        stack().api.send('POST', pathname, {
          body,
          headers: { 'content-type': 'application/json' },
          token: header.replace('Authorization:Bearer cak_…', key),
        });
      const report = await readFile(
        path.join(root, 'test/fixtures/scan-reports/trivy-operator-extended.json'),
      );
      expect(await send(report)).toMatchObject({ status: 201, json: { verdict: expect.any(String) } });
      const audit = { apiVersion: 'aquasecurity.github.io/v1alpha1', kind: 'ConfigAuditReport', report: {} };
      const deleted = { verb: 'delete', operatorObject: JSON.parse(report.toString()) as unknown };
      for (const other of [audit, deleted])
        expect(await send(JSON.stringify(other))).toMatchObject({
          status: 400,
          json: { code: 'REPORT_UNSUPPORTED' },
        });
    });
  });
}
