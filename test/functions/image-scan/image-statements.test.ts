import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { ListedStatement } from '../../../core/image/statements-schema.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';
import { type Answered, member } from '../api-call.ts';
import { engineDependencies } from './engine-dependencies.ts';
import { scored, trivyReport } from './reports.ts';
import { allPages, scanSetting, viewOf } from './scan-setting.ts';
import { openVex } from './vex-documents.ts';

const statements = '/v1/image-statements';
const libc = 'pkg:deb/debian/libc6@2.36';
const itemsOf = (answer: Answered) => answer.json().items as ListedStatement[];

describe('stored VEX statements', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterEach(() => {
    engine.faults.mend();
  });
  afterAll(() => engine.close());

  function setting() {
    const told: { message: string; extra: unknown }[] = [];
    const log = (message: string, extra: unknown) => void told.push({ message, extra });
    const logger = { info: log, warn: log, error: log } as never;
    const { call, post, image, tenantId, deps } = scanSetting(engine, { logger });
    const owner = member(tenantId);
    return {
      tenantId,
      told,
      rules: deps.rules,
      scan: (...findings: Parameters<typeof trivyReport>[0]) => post(trivyReport(findings)),
      verdict: async () => viewOf(await image()).verdict,
      say: async (...documents: readonly Parameters<typeof openVex>[0][]) => {
        for (const each of documents) {
          const taken = await post(JSON.stringify(openVex(each)), {});
          expect(taken.status).toBe(201);
        }
      },
      list: (query: Record<string, string> = {}, caller = owner) => call({ path: statements, query, caller }),
      remove: (statementId: string, caller = owner) =>
        call({
          method: 'DELETE',
          path: `${statements}/${statementId}`,
          resource: `${statements}/{statementId}`,
          params: { statementId },
          caller,
        }),
      removeOf: (author: string | undefined, caller = owner) =>
        call({ method: 'DELETE', path: statements, query: author === undefined ? {} : { author }, caller }),
    };
  }
  const idsOf = async (of: { list: (query?: Record<string, string>) => Promise<Answered> }, query = {}) =>
    itemsOf(await of.list(query)).map(({ statementId }) => statementId);

  test('are listed, an entry for each product, the latest first', async () => {
    const { say, list } = setting();
    const image = `pkg:oci/web@sha256%3A${'a'.repeat(64)}`;
    await say({
      said: [
        { vulnerability: 'CVE-2026-1', aliases: ['GHSA-aaaa-bbbb-cccc'] },
        {
          vulnerability: 'CVE-2026-2',
          status: 'affected',
          products: [{ '@id': image, subcomponents: [{ '@id': libc }] }, 'pkg:npm/a'],
          at: '2026-10-02T08:00:00Z',
        },
      ],
    });
    const items = itemsOf(await list());
    const second = {
      statementId: expect.stringMatching(/^[a-z2-7]{26}$/),
      author: 'vendor',
      vulnerability: 'CVE-2026-2',
      aliases: [],
      status: 'affected',
      at: '2026-10-02T08:00:00.000Z',
    };
    expect(items.slice(0, 2)).toEqual(
      expect.arrayContaining([
        { ...second, product: { id: `sha256:${'a'.repeat(64)}`, subcomponents: [libc] } },
        { ...second, product: { id: 'pkg:npm/a', subcomponents: [] } },
      ]),
    );
    expect(items.slice(2)).toEqual([
      {
        ...second,
        vulnerability: 'CVE-2026-1',
        aliases: ['GHSA-aaaa-bbbb-cccc'],
        product: { id: libc, subcomponents: [] },
        status: 'not_affected',
        justification: 'vulnerable_code_not_present',
        at: '2026-10-01T08:00:00.000Z',
      },
    ]);
    expect(new Set(items.map(({ statementId }) => statementId)).size).toBe(3);
  });

  test('keep their ID when their author says something newer, in another case, and shares no product’s', async () => {
    const of = setting();
    await of.say({ said: [{ products: [libc, 'pkg:npm/a'] }] });
    const before = itemsOf(await of.list());
    await of.say({ said: [{ vulnerability: 'cve-2026-1', status: 'fixed', at: '2026-10-05T00:00:00Z' }] });
    const [first, second, ...more] = itemsOf(await of.list());
    const idOf = (product: string) => before.find(({ product: { id } }) => id === product)?.statementId;
    expect(more).toEqual([]);
    expect(first).toMatchObject({ statementId: idOf(libc), status: 'fixed', product: { id: libc } });
    expect(second).toMatchObject({ statementId: idOf('pkg:npm/a'), status: 'not_affected' });
  });

  test('are found by name and alias in any case, by author as it is written, and by status', async () => {
    const { say, list } = setting();
    await say(
      { author: 'Vendor', said: [{ vulnerability: 'CVE-2026-1', aliases: ['GHSA-aaaa-bbbb-cccc'] }] },
      {
        author: 'We',
        said: [{ vulnerability: 'CVE-2026-1', status: 'affected' }, { vulnerability: 'CVE-2026-11' }],
      },
    );
    const found = async (query: Record<string, string>) =>
      itemsOf(await list(query))
        .map(({ author, vulnerability }) => `${author} ${vulnerability}`)
        .sort();
    expect(await found({})).toHaveLength(3);
    expect(await found({ vulnerability: 'cve-2026-1' })).toEqual(['Vendor CVE-2026-1', 'We CVE-2026-1']);
    expect(await found({ vulnerability: 'ghsa-AAAA-bbbb-cccc' })).toEqual(['Vendor CVE-2026-1']);
    expect(await found({ author: 'We' })).toEqual(['We CVE-2026-1', 'We CVE-2026-11']);
    expect(await found({ author: 'we' })).toEqual([]);
    expect(await found({ status: 'affected' })).toEqual(['We CVE-2026-1']);
    expect(await found({ author: 'We', status: 'affected', vulnerability: 'CVE-2026-11' })).toEqual([]);
    const refused = await list({ status: 'ignored' });
    expect([refused.status, refused.json().code]).toEqual([400, 'INVALID_REQUEST']);
  });

  test('come page by page, each once, also of one time; no cursor of another tenant is taken', async () => {
    const { say, list } = setting();
    const said = Array.from({ length: 7 }, (_, at) => ({ vulnerability: `CVE-2026-${at}` }));
    await say({ said: [...said, { vulnerability: 'CVE-2026-9', at: '2026-10-02T08:00:00Z' }] });
    const pages = await allPages<ListedStatement>((query) => list(query), { limit: '3' });
    expect(pages.map((each) => each.vulnerability)[0]).toBe('CVE-2026-9');
    expect(pages.map((each) => each.vulnerability).sort()).toEqual(
      [...said.map((each) => each.vulnerability), 'CVE-2026-9'].sort(),
    );
    const cursor = String((await list({ limit: '3' })).json().nextCursor);
    const foreign = await list({ cursor }, member(newTenantId()));
    expect([foreign.status, foreign.json().code]).toEqual([400, 'INVALID_CURSOR']);
  });

  test('with thousands of sub-components show a hundred and say how many more; a page ends by its size', async () => {
    const { say, list } = setting();
    const subcomponents = Array.from({ length: 150 }, (_, at) => ({
      '@id': `pkg:npm/${'a'.repeat(1_900)}-${at}`,
    }));
    const said = Array.from({ length: 13 }, (_, at) => ({
      vulnerability: `CVE-2026-${at}`,
      products: [{ '@id': 'pkg:oci/web', subcomponents }],
    }));
    await say({ said });
    const first = await list({ limit: '200' });
    const items = itemsOf(first);
    expect(items[0]?.product).toMatchObject({ id: 'pkg:oci/web', more: 50 });
    expect(items[0]?.product.subcomponents).toHaveLength(100);
    expect(items.length).toBeLessThan(13);
    expect(first.text.length).toBeLessThan(3 * 1024 * 1024);
    const pages = await allPages<ListedStatement>((query) => list(query), { limit: '200' });
    expect(pages).toHaveLength(13);
  });

  test('are taken back one by one, with 204: the verdict follows at once, and other products stay', async () => {
    const { scan, say, list, remove, verdict } = setting();
    await scan(scored('CVE-2026-1', 9.8));
    await say({ said: [{ products: [libc, 'pkg:npm/a'] }] }, { author: 'other' });
    expect(await verdict()).toBe('pass');
    const [ofOther, ofVendor] = await Promise.all(
      ['other', 'vendor'].map(async (author) =>
        itemsOf(await list({ author })).find(({ product }) => product.id === libc),
      ),
    );
    expect((await remove(ofOther?.statementId ?? '')).status).toBe(204);
    expect(await verdict()).toBe('pass');
    expect((await remove(ofVendor?.statementId ?? '')).status).toBe(204);
    expect(await verdict()).toBe('fail');
    expect(itemsOf(await list())).toMatchObject([{ author: 'vendor', product: { id: 'pkg:npm/a' } }]);
    const again = await remove(ofVendor?.statementId ?? '');
    expect([again.status, again.json().code]).toEqual([404, 'NOT_FOUND']);
  });

  test('are taken back author by author, with 204; 404 NOT_FOUND for one who says nothing', async () => {
    const { scan, say, list, removeOf, verdict } = setting();
    await scan(scored('CVE-2026-1', 9.8), scored('CVE-2026-2', 9.8));
    await say({ said: [{}, { vulnerability: 'CVE-2026-2' }] }, { author: 'other' });
    expect(await verdict()).toBe('pass');
    const nobody = await removeOf('Vendor');
    expect([nobody.status, nobody.json().code]).toEqual([404, 'NOT_FOUND']);
    expect((await removeOf('vendor')).status).toBe(204);
    expect(await verdict()).toBe('fail');
    expect(itemsOf(await list())).toMatchObject([{ author: 'other', vulnerability: 'CVE-2026-1' }]);
    expect((await removeOf('vendor')).status).toBe(404);
  });

  test.each([undefined, ''])(
    'are not all taken back by a DELETE of the author %j: 400 INVALID_REQUEST',
    async (author) => {
      const of = setting();
      await of.say({});
      const refused = await of.removeOf(author);
      expect([refused.status, refused.json().code]).toEqual([400, 'INVALID_REQUEST']);
      expect(await idsOf(of)).toHaveLength(1);
    },
  );

  test('that were taken back count again when their document comes again, however old', async () => {
    const { scan, say, removeOf, verdict } = setting();
    await scan(scored('CVE-2026-1', 9.8));
    await say({ said: [{ status: 'affected', at: '2026-10-05T00:00:00Z' }] }, {});
    expect(await verdict()).toBe('fail');
    await removeOf('vendor');
    await say({});
    expect(await verdict()).toBe('pass');
  });

  test('leave policy and exceptions as they are', async () => {
    const of = setting();
    await of.say({});
    const before = await of.rules.find(of.tenantId);
    await of.removeOf('vendor');
    const { exceptions, policy, statements: left } = await of.rules.find(of.tenantId);
    expect([exceptions, policy, left]).toEqual([before.exceptions, before.policy, []]);
  });

  test('are read by viewers, and taken back by who has image-policy:write: else 403; another tenant finds none', async () => {
    const of = setting();
    await of.say({});
    const [statementId = ''] = await idsOf(of);
    expect((await of.list({}, member(of.tenantId, 'viewer'))).status).toBe(200);
    const editor = member(of.tenantId, 'editor');
    for (const refused of [await of.remove(statementId, editor), await of.removeOf('vendor', editor)]) {
      expect([refused.status, refused.json().code]).toEqual([403, 'ACCESS_DENIED']);
    }
    const stranger = member(newTenantId());
    expect(itemsOf(await of.list({}, stranger))).toEqual([]);
    for (const unknown of [
      await of.remove(statementId, stranger),
      await of.removeOf('vendor', stranger),
      await of.remove('b'.repeat(26)),
      await of.remove('x'),
    ]) {
      expect([unknown.status, unknown.json().code]).toEqual([404, 'NOT_FOUND']);
    }
    expect(await idsOf(of)).toEqual([statementId]);
  });

  test('are logged with who took them back, once that is so', async () => {
    const of = setting();
    await of.say({ said: [{}, { vulnerability: 'CVE-2026-2' }] });
    const [statementId = ''] = await idsOf(of);
    await of.remove(statementId);
    await of.removeOf('vendor');
    await of.removeOf('vendor');
    const who = { tenantId: of.tenantId, principal: 'user:test' };
    expect(of.told).toEqual([
      { message: 'image statement removed', extra: { ...who, statementId } },
      { message: 'image statements of an author removed', extra: { ...who, author: 'vendor' } },
    ]);
  });

  test('taken back at once, by several, are each gone, and one said meanwhile stays', async () => {
    const of = setting();
    const said = Array.from({ length: 3 }, (_, at) => ({ vulnerability: `CVE-2026-${at}` }));
    await of.say({ said });
    const ids = await idsOf(of);
    const work = [...ids.slice(0, 2).map((id) => of.remove(id)), of.say({ author: 'other' })];
    const answers = await Promise.all(work);
    expect(answers.slice(0, 2).map((answer) => answer?.status)).toEqual([204, 204]);
    expect(await idsOf(of)).toEqual(expect.arrayContaining(ids.slice(2)));
    expect(
      itemsOf(await of.list())
        .map(({ author }) => author)
        .sort(),
    ).toEqual(['other', 'vendor']);
  });

  test('taken back by two at once are taken back by one: 204, and 404 NOT_FOUND', async () => {
    const of = setting();
    await of.say({});
    const [id = ''] = await idsOf(of);
    const answers = await Promise.all([of.remove(id), of.remove(id)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 404]);
  });

  test.each(['GetItem', 'PutItem'])(
    'answer 503 UNAVAILABLE while %s fails, stay, and go when it is asked again',
    async (operation) => {
      const of = setting();
      await of.say({});
      engine.faults.failWhen((each) => each === operation);
      const failed = await of.removeOf('vendor');
      expect([failed.status, failed.json().code]).toEqual([503, 'UNAVAILABLE']);
      expect(of.told).toEqual([]);
      engine.faults.mend();
      expect(await idsOf(of)).toHaveLength(1);
      expect((await of.removeOf('vendor')).status).toBe(204);
      expect(await idsOf(of)).toEqual([]);
    },
  );

  (unitsAreExact ? test : test.skip)(
    'cost a read to list, however many, and a read and three writes to take back',
    async () => {
      const of = setting();
      const said = Array.from({ length: 40 }, (_, at) => ({ vulnerability: `CVE-2026-${at}` }));
      await of.say({ said: said.slice(0, 20) }, { said: said.slice(20) });
      const [id = ''] = await idsOf(of);
      expect(await engine.units(() => of.list({ limit: '1' }))).toEqual({ read: 1, write: 0 });
      expect(await engine.units(() => of.list({ limit: '200' }))).toEqual({ read: 1, write: 0 });
      // The new document and the item; and what the change before it replaced is deleted.
      expect(await engine.units(() => of.remove(id))).toEqual({ read: 1, write: 3 });
      expect(await engine.units(() => of.removeOf('vendor'))).toEqual({ read: 1, write: 3 });
      // A process that has not seen them reads the document, too.
      await of.say({ said });
      const { rules } = engineDependencies(engine);
      expect(await engine.units(() => rules.find(of.tenantId))).toEqual({ read: 1.5, write: 0 });
    },
  );
});
