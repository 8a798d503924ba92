/** `npm run local -- …`: acts on the data or the running stack of `npm start`. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { Command, Option } from 'commander';
import { idToken } from './identity-provider/id-token.ts';
import { lockDirectory } from './stack/directory-lock.ts';
import { invokeOperator } from './stack/operator.ts';
import { readState, standardDirectory } from './stack/state.ts';
import { demoOwner, ensureTenant } from './stack/tenant.ts';

class NotRunning extends Error {
  override readonly message = 'The stack is not running. Start it with: npm start';
}

const program = new Command('npm run local --')
  .description('Acts on the laptop stack.')
  .addOption(
    new Option('--data <directory>', 'where it keeps everything')
      .env('CATTERY_DATA')
      .default(standardDirectory),
  )
  .showHelpAfterError();

const directory = () => path.resolve(program.opts<{ data: string }>().data);

program
  .command('reset')
  .description('delete all data of the stack; the next start begins afresh')
  .action(async () => {
    if (!existsSync(directory())) throw new Error(`There is nothing at ${directory()}.`);
    const lock = await lockDirectory(directory());
    await rm(directory(), { recursive: true, force: true });
    await lock.release();
    process.stdout.write(`${directory()} is gone.\n`);
  });

program
  .command('token')
  .description('print an ID token of the local identity provider')
  .argument('[email]', 'whose', demoOwner.ownerEmail)
  .action(async (email: string) => {
    const { stack } = await state();
    const token = await idToken({
      apiUrl: stack.apiUrl,
      directory: path.join(directory(), 'identity-provider'),
      email,
      ttlSeconds: 3_600,
    });
    process.stdout.write(`${token}\n`);
  });

program
  .command('tenant')
  .description("the stack's tenants")
  .command('create')
  .description(
    'make another tenant (or find it) and print how to reach it, as .local/stack.json does for the demo tenant',
  )
  .argument('<name>', '1 to 63 of [a-z0-9-]')
  .option('--owner <email>', 'address whose first sign-in becomes the owner (default: owner@NAME.example)')
  .action(async (name: string, { owner }: { owner?: string }) => {
    const { stack, operator } = await state();
    const tenant = await ensureTenant((event) => invokeOperator(operator, event), {
      name,
      ownerEmail: owner ?? `owner@${name}.example`,
    });
    process.stdout.write(`${JSON.stringify({ ...stack, ...tenant, demoClusterId: null }, null, 2)}\n`);
  });

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function state() {
  const known = await readState(directory());
  if (!known || !(await answers(known.operator.endpoint))) throw new NotRunning();
  return known;
}

/** A killed stack leaves its file; what counts is whether its endpoint answers. */
function answers(url: string): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(1_000) }).then(
    () => true,
    () => false,
  );
}
