import { describe, expect, test } from '@jest/globals';
import { tenantCommand } from '../../scripts/tenant-command.ts';

const made = { tenantId: 't-x', name: 'blue', apiKey: 'cak_x', expiresAt: '2026-11-24T08:00:00.000Z' };

async function run(line: string, answer: () => unknown = () => made) {
  const invoked: unknown[] = [];
  let [out, err] = ['', ''];
  const code = await tenantCommand(line.split(' ').filter(Boolean), {
    invoke: (target, event) => {
      invoked.push({ target, event });
      return Promise.resolve().then(answer);
    },
    out: (text) => (out += text),
    err: (text) => (err += text),
  });
  return { code, out, err, invoked };
}

describe('npm run tenant', () => {
  test('create asks the named function for the tenant and prints its key', async () => {
    const { code, out, invoked } = await run('create blue --owner a@example.com --function op');
    expect(code).toBe(0);
    expect(invoked).toEqual([
      {
        target: { kind: 'aws', functionName: 'op' },
        event: { action: 'create-tenant', name: 'blue', ownerEmail: 'a@example.com' },
      },
    ]);
    for (const value of Object.values(made)) expect(out).toContain(value);
  });

  test('-o json prints one line of JSON and nothing else', async () => {
    const { out, err } = await run('create blue --owner a@example.com --local -o json');
    expect([JSON.parse(out), err]).toEqual([made, '']);
  });

  test('key --local asks the laptop stack, whose data may be elsewhere', async () => {
    const { invoked } = await run('key blue --local --data /somewhere');
    expect(invoked).toEqual([
      {
        target: { kind: 'laptop', dataDirectory: '/somewhere' },
        event: { action: 'owner-key', name: 'blue' },
      },
    ]);
  });

  test.each([
    [
      'invite-member blue --email a@x.org --role viewer',
      { action: 'invite-member', name: 'blue', email: 'a@x.org', role: 'viewer' },
    ],
    [
      'set-member-role blue --subject s-1 --role editor',
      { action: 'set-member-role', name: 'blue', subject: 's-1', role: 'editor' },
    ],
    ['remove-member blue --subject s-1', { action: 'remove-member', name: 'blue', subject: 's-1' }],
    ['remove-member blue --email a@x.org', { action: 'remove-member', name: 'blue', email: 'a@x.org' }],
  ])('%s asks the function for that, and says what was done', async (line, event) => {
    const { action: _, ...done } = { ...event, tenantId: 't-x' };
    const removed = { membership: true, invitation: true };
    const { code, out, invoked } = await run(`${line} --local`, () => ({ ...done, removed }));
    expect(code).toBe(0);
    expect(invoked).toEqual([{ target: { kind: 'laptop', dataDirectory: '.local' }, event }]);
    for (const value of Object.values(done)) expect(out).toContain(value);
    expect(out).toMatch(/removed {2}the membership\nremoved {2}the invitation\n$/);
  });

  test.each([
    'invite-member blue --email a@x.org --local',
    'invite-member blue --email a@x.org --role king --local',
    'set-member-role blue --role viewer --local',
    'remove-member blue --local',
    'create blue --local',
    'create --owner a@example.com --local',
    'create blue --owner a@example.com --local --function op',
    'create blue --owner a@example.com --local -o xml',
    'destroy blue',
    '',
  ])('ends with 2 and invokes nothing at %j', async (line) => {
    const { code, err, invoked } = await run(line);
    expect([code, invoked]).toEqual([2, []]);
    expect(err).not.toBe('');
  });

  test('ends with 1 and says why when the function refuses', async () => {
    const { code, out, err } = await run('key blue --local', () => {
      throw new Error('TENANT_NOT_FOUND: There is no tenant blue.');
    });
    expect([code, out, err]).toEqual([1, '', 'error: TENANT_NOT_FOUND: There is no tenant blue.\n']);
  });

  test('--help ends with 0 and tells where the function is and what the exit codes mean', async () => {
    const { code, out } = await run('--help');
    expect(code).toBe(0);
    expect(out).toMatch(/cattery-operator[\s\S]*--local[\s\S]*Exit codes/);
  });
});
