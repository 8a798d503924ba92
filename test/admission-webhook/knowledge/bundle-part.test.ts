import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair, type JSONWebKeySet, SignJWT, UnsecuredJWT } from 'jose';
import {
  type BundleOrigin,
  BundleRefused,
  readPart,
} from '../../../admission-webhook/knowledge/bundle-part.ts';
import { bundleType } from '../../../core/admission/admission-bundle.ts';
import { apiKey, ControlPlane, scanned, tenantId } from '../control-plane.ts';

let plane: ControlPlane;
let origin: BundleOrigin;
beforeAll(async () => {
  plane = await ControlPlane.start();
  plane.scan(scanned('shop', 'fail'));
  origin = { keys: plane.keys as JSONWebKeySet, issuer: `${plane.url}/`, tenantId };
});
afterAll(() => plane.stop());

const jws = async (): Promise<string> => {
  const answer = await fetch(`${plane.url}/v1/admission-bundle`, {
    headers: { Authorization: `Bearer ${apiKey}` },
  });
  return answer.text();
};
const payload = async () => (await readPart(await jws(), origin)).bundle;

describe('a part of a bundle', () => {
  test('is taken when our control plane has signed it for our tenant', async () => {
    const text = await jws();
    const part = await readPart(text, origin);
    expect(part).toMatchObject({
      jws: text,
      bundle: { kind: 'full', sub: tenantId, images: [{ verdict: 'fail' }] },
    });
  });

  test('is refused when any of its bytes is another', async () => {
    const text = await jws();
    for (const at of [3, text.indexOf('.') + 30, text.length - 40]) {
      const changed = `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`;
      await expect(readPart(changed, origin)).rejects.toThrow(BundleRefused);
    }
    const [head = '', body = '', signature = ''] = text.split('.');
    for (const broken of ['', 'x', `${head}.${body}`, `${head}.${body}.`, `${body}.${head}.${signature}`]) {
      await expect(readPart(broken, origin)).rejects.toThrow(BundleRefused);
    }
  });

  test('is refused when another key has signed it, which the message tells how to mend', async () => {
    const { publicKey } = await generateKeyPair('ES256');
    const keys = { keys: [{ ...(await exportJWK(publicKey)), kid: 'other', alg: 'ES256' }] };
    await expect(readPart(await jws(), { ...origin, keys })).rejects.toThrow(
      /not pinned: apply the manifest anew/,
    );
    const [known] = plane.keys.keys;
    const disguised = { keys: [{ ...(await exportJWK(publicKey)), kid: known?.kid ?? '', alg: 'ES256' }] };
    await expect(readPart(await jws(), { ...origin, keys: disguised })).rejects.toThrow(BundleRefused);
  });

  test('is refused unsigned, with another algorithm, and when it is signed as something else', async () => {
    const unsigned = new UnsecuredJWT(await payload()).encode();
    const symmetric = await new SignJWT({ ...(await payload()) })
      .setProtectedHeader({ alg: 'HS256', typ: bundleType })
      .sign(new TextEncoder().encode(JSON.stringify(plane.keys.keys[0])));
    const other = await plane.sign(await payload(), { typ: 'JWT' });
    for (const each of [unsigned, symmetric, other]) {
      await expect(readPart(each, origin)).rejects.toThrow(BundleRefused);
    }
  });

  test('is refused for another tenant and from another API, whoever has signed it', async () => {
    const own = await payload();
    for (const [change, why] of [
      [{ sub: `t-${'b'.repeat(20)}` }, 'another tenant'],
      [{ iss: 'https://other.example' }, 'another API'],
    ] as const) {
      await expect(readPart(await plane.sign({ ...own, ...change }), origin)).rejects.toThrow(why);
    }
  });

  test('is refused when its form is unknown, by the place and without what stands there', async () => {
    const own = await payload();
    const refused = async (body: object) => {
      const error: unknown = await readPart(await plane.sign(body), origin).catch(
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(BundleRefused);
      return (error as BundleRefused).message;
    };
    const images = [{ ...own.images[0], verdict: 'hidden-word' }];
    expect(await refused({ ...own, images })).toMatch(/\/images\/0\/verdict/);
    expect(await refused({ ...own, images })).not.toContain('hidden-word');
    // A criterion that this webhook does not know would make a rule match what it must not.
    expect(await refused({ ...own, policy: { ...own.policy, newCriterion: true } })).toMatch(/\/policy/);
  });
});
