/** What an installer reports with a cluster's own token, followed by the tenant, through the whole stack and its policies. */
import path from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { progress, progressSteps } from '../../core/cluster/progress-schema.ts';
import type { Enrolment } from '../../local/demo-cluster/enrol.ts';
import { keptAttempts } from '../../functions/registration/report-progress.ts';
import { registerCluster } from './further-cluster.ts';
import { root, run, type Stack } from './stack.ts';

export function progressOfClusters(stack: () => Stack): void {
  describe('the progress of a cluster', () => {
    let cluster: Enrolment;
    beforeAll(async () => {
      cluster = await registerCluster(stack(), 'reporting');
    });
    const url = () => `/v1/clusters/${cluster.clusterId}/progress`;
    const report = async (
      attempt: string,
      sequence: number,
      step: string,
      state: string,
      operation = 'upgrade',
    ) => {
      const body = { operation, attempt, sequence, step, state };
      const answer = await stack().api.post(url(), body, { token: cluster.clusterToken });
      expect([answer.status, answer.json]).toEqual([
        200,
        expect.objectContaining({ attempt, current: true }),
      ]);
    };
    const shown = async (query = '') => progress.parse((await stack().api.get(`${url()}${query}`)).json);

    test('is followed by who waits for it: a report ends the wait at once', async () => {
      const { cursor, state } = await shown();
      expect(state).toBe('none');
      const waiting = shown(`?follow=${cursor}`);
      let answered = false;
      void waiting.then(() => (answered = true));
      // Others are answered meanwhile.
      for (let asked = 0; asked < 3; asked += 1) expect((await shown()).state).toBe('none');
      expect(answered).toBe(false);
      const reported = performance.now();
      await report('attempt-0', 0, 'crds', 'running');
      expect(await waiting).toMatchObject({ state: 'running', attempt: 'attempt-0' });
      // Otherwise it takes 20 s.
      expect(performance.now() - reported).toBeLessThan(10_000);
    });

    test('keeps twenty older attempts, within the rights that the function has', async () => {
      for (let index = 1; index <= keptAttempts + 2; index += 1)
        await report(`attempt-${index}`, 0, 'preflight', 'failed');
      const { attempt, attempts } = await shown();
      expect([attempt, attempts.length, attempts.at(-1)?.attempt]).toEqual(['attempt-22', 20, 'attempt-2']);
    });

    test('is what `cattery progress --follow` prints to the end', async () => {
      await report('attempt-followed', 0, 'preflight', 'done');
      const { apiUrl, caFile, adminToken } = stack().state;
      const cli = path.join(root, 'cli', 'cattery.ts');
      const given = ['progress', 'reporting', '--follow', '--api-url', apiUrl, '--ca-file', caFile];
      const ended = run(process.execPath, [cli, ...given], {
        cwd: root,
        environment: { HOME: stack().process.data, CATTERY_API_KEY: adminToken },
      });
      let sequence = 1;
      for (const step of progressSteps.upgrade.slice(1)) {
        await report('attempt-followed', sequence++, step, 'running');
        await report('attempt-followed', sequence++, step, 'done');
      }
      const { code, stdout, stderr } = await ended;
      expect([code, stderr]).toEqual([0, '']);
      const lines = stdout.trimEnd().split('\n');
      expect(lines[0]).toBe('upgrade of reporting, attempt attempt-followed');
      expect(lines.at(-1)).toMatch(/^tunnel +done/);
    });
  });
}
