/** What anybody may fetch: the installer of this control plane, and the releases that it offers. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { catalogue } from '../../core/release/catalogue.ts';
import { releaseDetail } from '../../core/release/release-schema.ts';
import type { Stack } from './stack.ts';

export function publicAssets(stack: () => Stack): void {
  describe('what anybody may fetch', () => {
    const anybody = (path: string, headers: Readonly<Record<string, string>> = {}) =>
      stack().api.get(path, { token: null, headers });
    const version = catalogue().releases[0]?.version ?? '';

    test('the installer knows this control plane, and its checksum is that of the bytes served', async () => {
      const { apiUrl, tunnelAddress } = stack().state;
      const [script, checksum] = await Promise.all([anybody('/install.sh'), anybody('/install.sh.sha256')]);
      expect(script.headers['content-type']).toBe('text/x-shellscript; charset=utf-8');
      expect(script.text).toMatch(/^#!\/bin\/sh\n/);
      for (const address of [apiUrl, tunnelAddress]) expect(script.text).toContain(`='${address}'\n`);
      const sum = createHash('sha256').update(script.text).digest('hex');
      expect([checksum.status, checksum.text]).toEqual([200, `${sum}  install.sh\n`]);
    });

    test.each([
      '/install.sh',
      '/install.sh.sha256',
      '/v1/releases',
      `/v1/releases/${version}`,
      `/v1/releases/${version}/images`,
    ])('GET %s may be cached, and is 304 for whoever has it', async (path) => {
      const { status, headers } = await anybody(path);
      expect([status, headers['cache-control']]).toEqual([200, 'public, max-age=300']);
      const again = await anybody(path, { 'if-none-match': String(headers.etag) });
      expect([again.status, again.text, again.headers.etag]).toEqual([304, '', headers.etag]);
    });

    test('a release says at which address of ours its manifests are', async () => {
      const { manifests } = releaseDetail.parse((await anybody(`/v1/releases/${version}`)).json);
      for (const { name, url } of manifests)
        expect(url).toBe(`${stack().state.apiUrl}/v1/releases/${version}/manifests/${name}`);
    });
  });
}
