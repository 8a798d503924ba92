import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { welcome } from '../../../local/stack/welcome.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const state = {
  apiUrl: 'https://127.0.0.1:8443',
  accessUrl: 'https://127.0.0.1:9443',
  tunnelAddress: '127.0.0.1:9000',
  caFile: '/home/me/cattery/.local/ca.pem',
  adminToken: 'cak_secret',
  tenantId: 't-demo',
  demoClusterId: 'c-demo' as string | null,
};
const surroundings = {
  issuer: 'https://127.0.0.1:8443/oidc',
  email: 'owner@demo.example',
  directory: '.local',
};

/** The lines that a reader would paste. */
const commandsIn = (text: string): string[] =>
  text
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /^(CA=|TOKEN=|curl|kubectl)/.test(line));

describe('the welcome', () => {
  const text = welcome(state, surroundings);

  test('tells where everything is and who signs in, but no secret', () => {
    for (const part of [
      ...['https://127.0.0.1:8443', 'https://127.0.0.1:9443', '127.0.0.1:9000', state.caFile],
      ...['owner@demo.example', 'https://127.0.0.1:8443/oidc', '.local/stack.json'],
      ...['docs/connect-a-cluster.md', 'Ctrl-C'],
    ])
      expect(text).toContain(part);
    expect(text).not.toContain('cak_secret');
  });

  test('lists and watches pods with kubectl, lists them with curl, pushes a report, disconnects', () => {
    const commands = commandsIn(text);
    const found = (...parts: string[]) =>
      commands.filter((line) => parts.every((part) => line.includes(part)));
    expect(found('/v1/clusters/c-demo/kubeconfig?embed=token', '> .local/kubeconfig')).toHaveLength(1);
    expect(found('kubectl --kubeconfig .local/kubeconfig get pods -A')).toHaveLength(2);
    expect(found('kubectl', '--watch')).toHaveLength(1);
    expect(found('curl', 'https://127.0.0.1:9443/clusters/c-demo/api/v1/pods')).toHaveLength(1);
    expect(found('curl', '$API/v1/scans?digest=')).toHaveLength(1);
    expect(found('curl', '-X DELETE', '$API/v1/clusters/c-demo')).toHaveLength(1);
    for (const line of commands.filter((one) => one.startsWith('curl') && !one.includes('install.sh')))
      expect(line).toMatch(/--cacert "\$CA" -H "Authorization: Bearer \$TOKEN"/);
  });

  test('its one command for a cluster of theirs runs install.sh as served, with a fresh token that is no argument', async () => {
    const [command = '', ...others] = commandsIn(text).filter((line) => line.includes('install.sh'));
    expect(others).toEqual([]);
    const home = await mkdtemp(path.join(tmpdir(), 'cattery-welcome-'));
    try {
      // curl as far as this command goes: the installer says what it was given, the API issues a token.
      await writeFile(
        path.join(home, 'curl'),
        [
          '#!/bin/sh',
          'printf "%s|" "$@" >> "$HOME/calls"; echo >> "$HOME/calls"',
          'case "$*" in',
          `*/install.sh) echo 'printf "%s\\n" "$CATTERY_TOKEN" "$#" "$@"' ;;`,
          `*) echo '{"tokenId":"tok-1","token":"crt_fresh","expiresAt":"2026-11-23T09:00:00.000Z"}' ;;`,
          'esac',
        ].join('\n'),
        { mode: 0o755 },
      );
      const set = 'CA=ca.pem API=https://127.0.0.1:8443 TOKEN=of-the-owner';
      const { stdout, stderr, status } = spawnSync('sh', ['-c', `${set}\n${command}`], {
        encoding: 'utf8',
        env: { PATH: `${home}:${process.env.PATH ?? ''}`, HOME: home },
      });
      expect([stdout, stderr, status]).toEqual(['crt_fresh\n2\n--ca-file\nca.pem\n', '', 0]);
      const calls = await readFile(path.join(home, 'calls'), 'utf8');
      expect(calls.split('\n').sort()).toEqual([
        '',
        '-fsS|--cacert|ca.pem|-H|Authorization: Bearer of-the-owner|-H|Content-Type: application/json|-d|{}|https://127.0.0.1:8443/v1/registration-tokens|',
        '-fsS|--cacert|ca.pem|https://127.0.0.1:8443/install.sh|',
      ]);
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  });

  test('says that clusters elsewhere do not reach a loopback address, and only then', () => {
    const hint = 'npm start -- --listen 0.0.0.0 --advertise HOST';
    expect(text).toContain(`Its pods dial 127.0.0.1:9000`);
    expect(text).toContain(hint);
    for (const tunnelAddress of ['10.0.0.5:9000', '[2001:db8::1]:9000', 'localhost.example:9000'])
      expect(welcome({ ...state, tunnelAddress }, surroundings)).not.toContain(hint);
  });

  test('the report is there, and the command names the digest that it lacks', () => {
    const [, file = '', digest = ''] =
      /--data-binary @(\S+) .*digest=(sha256:[0-9a-f]{64})"/.exec(text) ?? [];
    const report = JSON.parse(readFileSync(path.join(root, file), 'utf8')) as {
      ArtifactType: string;
      Metadata: { RepoDigests?: string[] };
    };
    expect(report).toMatchObject({ ArtifactType: 'container_image' });
    // The report names no digest, so the command must.
    expect([report.Metadata.RepoDigests, digest.length]).toEqual([undefined, 71]);
  });

  test('without a demo cluster it names none, and the rest stays', () => {
    const without = welcome({ ...state, demoClusterId: null }, surroundings);
    expect(without).not.toMatch(/kubectl --|null|DELETE/);
    expect(without).toContain('$API/v1/scans');
    expect(without).toContain('docs/connect-a-cluster.md');
  });

  test('every command is one that a shell can read, whatever the paths', () => {
    const odd = welcome(
      { ...state, caFile: "/home/me/it's mine/ca.pem" },
      { ...surroundings, directory: 'my data' },
    );
    for (const commands of [commandsIn(text), commandsIn(odd)]) {
      expect(commands.length).toBeGreaterThan(6);
      const checked = spawnSync('sh', ['-n'], { input: commands.join('\n'), encoding: 'utf8' });
      expect([checked.status, checked.stderr]).toEqual([0, '']);
    }
    const [line = ''] = commandsIn(odd);
    const said = spawnSync('sh', ['-c', `${line}; printf %s "$CA"`], { encoding: 'utf8' });
    expect(said.stdout).toBe("/home/me/it's mine/ca.pem");
  });

  test('another data directory goes into the command that prints a token', () => {
    expect(text).toContain('TOKEN=$(npm run --silent local -- token)');
    expect(welcome(state, { ...surroundings, directory: 'my data' })).toContain(
      "TOKEN=$(npm run --silent local -- --data 'my data' token)",
    );
  });
});
