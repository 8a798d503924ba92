/** Where install.sh's secrets go: neither arguments nor files nor reports nor what it prints. */
import { readdirSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { Problem } from '../../../core/problem/problem.ts';
import { onPath, shellsHere } from './script/shells.ts';
import { Workbench } from './script/workbench.ts';

const possible = (['curl', 'openssl'] as const).every((tool) => onPath(tool) !== undefined);
if (!possible) console.log('curl or openssl is missing: where the secrets of install.sh go is not tried');
// Shells keep here-documents in different places; bash --posix and, beside others, sh in none of their own.
const shells = (possible ? shellsHere() : []).filter(
  ({ name }, _, { length }) => length === 1 || !['sh', 'bash --posix'].includes(name),
);

const base64 = (text: string) => Buffer.from(text).toString('base64');
/** What any private key, registration token or cluster token begins with, also in Base64. */
const beginnings = [
  'PRIVATE KEY',
  base64('-----BEGIN EC PRIVATE KEY'),
  base64('-----BEGIN PRIVATE').slice(0, 22),
];
const tokens = ['crt_', 'ccr_', base64('ccr_').slice(0, 5)];

/** The lines of a key, and pieces of their Base64: 30 characters of each. */
function traces(key: string): string[] {
  const lines = key.split('\n').filter((line) => line !== '' && !line.startsWith('-'));
  const encoded = base64(key);
  return [...lines, ...[60, 120, 180].map((at) => encoded.slice(at, at + 30))].filter(
    (each) => each.length > 10,
  );
}

(shells.length > 0 ? describe : describe.skip)('the secrets of install.sh', () => {
  test.each(shells)(
    'in $name: no argument of a program, no temporary file, no report and no line for the user has one',
    async (shell) => {
      const bench = await Workbench.open(shell, { record: true });
      const { plane, cluster } = bench;
      try {
        bench.watchFor([...beginnings, ...tokens]);
        cluster.react = () => bench.calicoIs('v3.32.1');
        const given = ['--ca-file', plane.caFile, '--yes'];
        const environment = { CATTERY_TOKEN: plane.token };
        const printed: string[] = [];
        const keys = new Set<string>();
        const run = async (...more: readonly string[]) => {
          const { code, stdout, stderr } = await bench.run([...given, ...more], { environment, way: 'pipe' });
          printed.push(stdout, stderr);
          for (const { data } of cluster.all('secrets'))
            for (const file of ['managed-cluster.key', 'next.key'])
              keys.add(Buffer.from(data?.[file] ?? '', 'base64').toString('utf8'));
          return code;
        };
        // It fails where it has all of them, goes on, and renews.
        plane.instead = ({ path }) => (path.endsWith('/manifest') ? new Problem('INTERNAL') : undefined);
        expect(await run('--name', 'shop')).toBe(4);
        plane.instead = () => undefined;
        expect(await run()).toBe(0);
        expect(await run('--renew')).toBe(0);

        keys.delete('');
        expect(keys.size).toBe(2);
        const clusterToken = [...plane.clusters.values()][0]?.clusterToken ?? '';
        const secrets = [...beginnings, plane.token, clusterToken, base64(clusterToken).slice(0, 40)];
        for (const key of keys) secrets.push(...traces(key));
        const { programs } = bench;
        // The recorder works: it has seen what is no secret.
        // busybox runs its own tools in the shell's process: they have no arguments that others could see.
        const tools = [
          'curl\0',
          'openssl\0',
          'kubectl\0',
          ...(shell.busybox === undefined ? ['sed\0', 'awk\0'] : []),
        ];
        for (const tool of tools) expect(programs).toContain(tool);
        expect(programs).toContain('/v1/registrations');
        for (const secret of secrets) {
          expect(programs).not.toContain(secret);
          expect(printed.join('\n')).not.toContain(secret);
          expect(JSON.stringify(plane.reports)).not.toContain(secret);
        }
        expect(plane.reports.map(({ reason }) => reason)).toContain('CONTROL_PLANE_UNREACHABLE');
        expect(bench.leaks).toBe('');
        expect(readdirSync(bench.tmp)).toEqual([]);
        // The API was told no key either, and each token only as a credential.
        const bodies = plane.requests.map(({ path, body }) => path + body).join('\n');
        for (const secret of secrets) expect(bodies).not.toContain(secret);
      } finally {
        await bench.close();
      }
    },
    60_000,
  );

  test('the recorder finds a secret in a temporary file and in an argument', async () => {
    const [shell] = shells;
    if (!shell) throw new Error('There is no shell.');
    const bench = await Workbench.open(shell, { record: true });
    try {
      bench.watchFor(tokens);
      await bench.run([], {
        script: 'echo crt_x > "$TMPDIR/file"; sed -n 1p "$TMPDIR/file"; rm "$TMPDIR/file"; cut -c1 crt_y',
      });
      expect(bench.leaks).toContain('/file\n');
      expect(bench.programs).toContain('crt_y');
    } finally {
      await bench.close();
    }
  });
});
