/** kill -9 of the whole stack, at bad moments: the next start works, and nothing that was acknowledged is missing. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { registrationTokenIssued } from '../../core/credential/registration-token-schema.ts';
import { trivyReport } from '../functions/image-scan/reports.ts';
import { ecPair, makeRequest } from '../functions/registration/certificate-requests.ts';
import { eventually } from './poll.ts';
import { root, run, type Stack, StackProcess } from './stack.ts';

const startMs = 160_000;
const facts = {
  kubernetesVersion: 'v1.33.2',
  calicoVersion: 'v3.32.1',
  distribution: 'kubeadm',
  nodeCount: 3,
};

let home: string;
beforeAll(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'cattery-killed-'));
});
afterAll(() => rm(home, { recursive: true, force: true }));

/** What the API has acknowledged. */
type Acknowledged = { tokenIds: string[]; digests: string[]; clusterIds: string[] };

/** Writes of three kinds, over and over, until the stack is gone; each answer is remembered as it comes. */
function writeUntilGone(stack: Stack): { acknowledged: Acknowledged; gone: Promise<unknown> } {
  const acknowledged: Acknowledged = { tokenIds: [], digests: [], clusterIds: [] };
  const { api } = stack;
  const issue = async () => {
    const { status, json } = await api.post('/v1/registration-tokens', {});
    if (status !== 201) throw new Error(`a token was answered ${status}`);
    const issued = registrationTokenIssued.parse(json);
    acknowledged.tokenIds.push(issued.tokenId);
    return issued.token;
  };
  const scan = async (turn: number) => {
    const digest = `sha256:${createHash('sha256').update(String(turn)).digest('hex')}`;
    const report = trivyReport([], { ArtifactName: `app:${turn}` });
    const { status } = await api.post(`/v1/scans?digest=${digest}`, report);
    if (status !== 201) throw new Error(`a scan was answered ${status}`);
    acknowledged.digests.push(digest);
  };
  const register = async (turn: number) => {
    const csr = makeRequest(ecPair());
    const body = { clusterName: `cluster-${turn}`, csr, cluster: facts };
    const { status, json } = await api.post('/v1/registrations', body, { token: await issue() });
    if (status !== 201) throw new Error(`a registration was answered ${status}`);
    acknowledged.clusterIds.push((json as { clusterId: string }).clusterId);
  };
  const forever = async (write: (turn: number) => Promise<unknown>) => {
    for (let turn = 0; ; turn++) await write(turn);
  };
  // Each loop ends with the connection that the kill breaks.
  const gone = Promise.allSettled([forever(issue), forever(scan), forever(register)]);
  return { acknowledged, gone };
}

describe('kill -9 of the whole stack', () => {
  let data: string;
  let written: Acknowledged;
  let reasons: string[];
  /** What the killed stack said of itself. */
  let left: string;
  let last: Stack;
  const lives: StackProcess[] = [];
  const start = (...more: string[]) => {
    const life = new StackProcess({ data, arguments: more });
    lives.push(life);
    return life;
  };

  beforeAll(async () => {
    data = path.join(home, 'data');
    // Alone, so that its children must notice by themselves; on data that it has only begun to make.
    const early = start();
    await early.says('Making certificates');
    await early.killAlone();

    // While the demo cluster registers itself: its next start must complete that.
    const connecting = start();
    await connecting.says('Connecting the demo cluster');
    await connecting.killAll();

    const busy = await start().ready();
    const { acknowledged, gone } = writeUntilGone(busy);
    await eventually('some writes of each kind', 30_000, () =>
      Object.values(acknowledged).every(({ length }) => length >= 5),
    );
    await busy.process.killAll();
    const ends = (await gone) as PromiseSettledResult<unknown>[];
    reasons = ends.map((end) => (end.status === 'rejected' ? String(end.reason) : 'none'));
    written = acknowledged;
    busy.disconnect();
    left = path.join(home, 'left');
    await mkdir(left);
    for (const name of ['stack.json', 'operator.json'])
      await cp(path.join(data, name), path.join(left, name));

    last = await start('--no-demo').ready();
  }, 4 * startMs);
  afterAll(async () => {
    last.disconnect();
    for (const life of lives) await life.destroy();
  });

  test('it went down in the middle of writes, none of which had been refused', () => {
    for (const reason of reasons) expect(reason).not.toContain('answered');
  });

  test('every registration token that was acknowledged is there', async () => {
    const listed = await everything('/v1/registration-tokens');
    expect(written.tokenIds.filter((tokenId) => !listed.includes(tokenId))).toEqual([]);
  });

  test('every scan that was acknowledged is there', async () => {
    const listed = await everything('/v1/images');
    expect(written.digests.filter((digest) => !listed.includes(digest))).toEqual([]);
    const { status, json } = await last.api.get(`/v1/images/${written.digests.at(-1)}`);
    expect([status, json]).toEqual([200, expect.objectContaining({ verdict: 'pass' })]);
  });

  test('every cluster that was acknowledged is there, with its way in', async () => {
    const listed = await everything('/v1/clusters');
    expect(written.clusterIds.filter((clusterId) => !listed.includes(clusterId))).toEqual([]);
    const manifest = await last.api.get(`/v1/clusters/${written.clusterIds.at(-1)}/manifest`);
    expect(manifest.status).toBe(200);
  });

  test('a start with --no-demo has no demo cluster running, and keeps what it was', async () => {
    expect(last.state.demoClusterId).toBeNull();
    expect(last.process.output).not.toContain('demo cluster,');
    const family = await last.process.descendants();
    expect(family.filter(({ command }) => command.includes('demo-cluster'))).toEqual([]);
    const { json } = await last.api.get('/v1/clusters?limit=200');
    const { items } = json as { items: { clusterName: string }[] };
    expect(items.filter(({ clusterName }) => clusterName === 'demo')).toHaveLength(1);
  });

  test('npm run local -- reset empties what was killed, though its stack.json is still there', async () => {
    const early = new StackProcess({ data: left });
    lives.push(early);
    await eventually('it has begun', 30_000, () => existsSync(path.join(left, 'lock.sock')));
    await early.killAll();
    const given = ['local/cli.ts', '--data', left, 'reset'];
    expect(await run(process.execPath, given, { cwd: root })).toMatchObject({ code: 0 });
    expect(existsSync(left)).toBe(false);
  });

  /** The text of every page of a list. */
  async function everything(list: string): Promise<string> {
    let [text, cursor]: [string, string | undefined] = ['', ''];
    while (cursor !== undefined) {
      const page = await last.api.get(`${list}?limit=200${cursor === '' ? '' : `&cursor=${cursor}`}`);
      expect(page.status).toBe(200);
      text += page.text;
      cursor = (page.json as { nextCursor?: string }).nextCursor;
    }
    return text;
  }
});
