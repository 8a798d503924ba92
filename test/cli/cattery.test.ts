/** The program as a process: CA, ports, signals, exit codes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlink, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { loopbackPorts } from '../../core/credential/sign-in-schema.ts';
import { clientId, fakeIssuer, sendJson, subject } from './fake-issuer.ts';
import { type FakeDeployment, fakeDeployment, Laptop } from './fixture.ts';

const folder = path.resolve(import.meta.dirname, '../../cli');
const script = path.join(folder, 'cattery.ts');

type Ended = { readonly code: number | null; readonly out: string; readonly err: string };

class Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  #err = '';

  constructor(laptop: Laptop, given: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const own = { HOME: laptop.home, PATH: process.env.PATH ?? '', ...env };
    this.child = spawn(process.execPath, [script, ...given], { env: own, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => (out += text));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#err += text));
    this.ended = once(this.child, 'close').then(([code]) => ({
      code: code as number | null,
      out,
      err: this.#err,
    }));
  }

  /** The first match in what it says. */
  async says(pattern: RegExp): Promise<string> {
    for (;;) {
      const [found] = pattern.exec(this.#err) ?? [];
      if (found) return found;
      if (this.child.stderr) await once(this.child.stderr, 'data');
    }
  }
}

let laptop: Laptop;
beforeEach(async () => {
  laptop = await Laptop.of();
});
afterEach(() => laptop.remove());
const cattery = (...given: string[]) => new Running(laptop, given).ended;

describe('the program', () => {
  let deployment: FakeDeployment;
  const { warn, info } = console;
  beforeAll(async () => {
    Object.assign(console, { warn: () => undefined, info: () => undefined });
    deployment = await fakeDeployment();
  });
  afterAll(async () => {
    Object.assign(console, { warn, info });
    await deployment.close();
  });

  test('signs in with a CA of its own on a registered port, remembers both, and parallel processes refresh once', async () => {
    const ca = path.join(laptop.home, 'ca.pem');
    await writeFile(ca, deployment.issuer.ca);
    const without = await cattery('login', '--no-browser', '--api-url', deployment.apiUrl);
    expect([without.code, without.err]).toEqual([5, expect.stringContaining('give its CA with --ca-file')]);

    const login = new Running(laptop, [
      'login',
      '--no-browser',
      '--api-url',
      deployment.apiUrl,
      '--ca-file',
      ca,
    ]);
    const url = await login.says(/https:\S+\n/);
    const redirect = new URL(new URL(url.trim()).searchParams.get('redirect_uri') ?? '');
    expect(loopbackPorts.map(String)).toContain(redirect.port);
    await laptop.signIn(url.trim());
    expect(await login.ended).toMatchObject({ code: 0, err: expect.stringContaining('Signed in as') });

    await laptop.ageSession();
    const asked = await Promise.all(Array.from({ length: 4 }, () => cattery('token')));
    expect(asked.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    expect(new Set(asked.map(({ out }) => out)).size).toBe(1);
    await laptop.ageSession();
    expect((await cattery('token')).code).toBe(0);
    expect((await cattery('clusters')).out).toContain('shop');
    expect((await cattery('logout')).code).toBe(0);
    expect((await cattery('token')).code).toBe(3);
  });

  test('is named in kubeconfigs as it is found on the PATH, else by its whole path', async () => {
    const env = { CATTERY_API_URL: deployment.apiUrl, CATTERY_API_KEY: 'cak_of-the-fake-api' };
    const exec = async (more: Record<string, string>) => {
      const { out } = await new Running(laptop, ['kubeconfig', 'shop'], { ...env, ...more }).ended;
      return (parse(out) as { users: { user: { exec: { command: string; args: string[] } } }[] }).users[0]
        ?.user.exec;
    };
    const token = ['token', '--api-url', deployment.apiUrl];
    expect(await exec({})).toMatchObject({ command: process.execPath, args: [script, ...token] });
    await symlink(path.join(folder, 'cattery.js'), path.join(laptop.home, 'cattery'));
    const found = `${laptop.home}${path.delimiter}${process.env.PATH ?? ''}`;
    expect(await exec({ PATH: found })).toMatchObject({ command: 'cattery', args: token });
  });

  test('says in words on an older Node that it is too old', async () => {
    const pretend =
      'data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.19.0"}})';
    const child = spawn(process.execPath, ['--import', pretend, path.join(folder, 'cattery.js')]);
    let err = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    expect(await once(child, 'close')).toEqual([1, null]);
    expect(err).toMatch(/^cattery runs on Node 24 or later/);
  });
});

describe('Ctrl-C', () => {
  test('in kubectl, while the issuer rotates the refresh token, does not lose the new one', async () => {
    const issuer = await fakeIssuer();
    try {
      const asked = Promise.withResolvers<ServerResponse>();
      issuer.onToken = (response) => asked.resolve(response);
      const apiUrl = 'https://api.example';
      const session = { apiUrl, issuer: issuer.issuer, clientId, subject, idToken: 'x' };
      await laptop.putSession({ ...session, refreshToken: 'first', refreshAt: 0, expiresAt: 0 });
      const running = new Running(laptop, ['token', '--api-url', apiUrl]);
      const response = await asked.promise;
      running.child.kill('SIGINT');
      const answer = { access_token: 'a', token_type: 'bearer', refresh_token: 'rotated' };
      sendJson(response, { ...answer, id_token: await issuer.idToken() });
      expect(await running.ended).toMatchObject({ code: 130, err: '' });
      expect(await laptop.session()).toMatchObject({ refreshToken: 'rotated' });
      expect((await cattery('token', '--api-url', apiUrl)).code).toBe(0);
    } finally {
      issuer.close();
    }
  });
});
