import { Command, CommanderError, Option } from 'commander';
import * as z from 'zod';
import { roles } from '../core/credential/scope.ts';

/** Its name in AWS, as lib/operator.ts gives it. */
const operatorFunction = 'cattery-operator';

/** Where the operator function is. */
export type OperatorTarget =
  | { readonly kind: 'laptop'; readonly dataDirectory: string }
  | { readonly kind: 'aws'; readonly functionName: string };

/** Invokes the operator function; throws with its error's text when it fails. */
export type InvokeOperator = (target: OperatorTarget, event: object) => Promise<unknown>;

type Surroundings = {
  readonly invoke: InvokeOperator;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
};

/** 0: done. 1: it failed. 2: the command line is wrong. */
export type ExitCode = 0 | 1 | 2;

const answer = z.object({
  tenantId: z.string(),
  name: z.string(),
  apiKey: z.string(),
  expiresAt: z.string(),
});

const memberAnswer = z.object({
  tenantId: z.string(),
  name: z.string(),
  subject: z.string().optional(),
  email: z.string().optional(),
  role: z.string().optional(),
  expiresAt: z.string().optional(),
  removed: z.object({ membership: z.boolean(), invitation: z.boolean() }).optional(),
});

const targetHelp = `
Where the operator function is:
  in AWS      the function cattery-operator of AWS_REGION's account (--function names another),
              with AWS credentials that allow lambda:InvokeFunction on it
  on a laptop --local, while npm start is running

Exit codes: 0 done, 1 failed, 2 wrong command line.
`;

type TargetOptions = { local?: true; data: string; function: string; output: 'text' | 'json' };

const subjectHelp = '`sub` of their tokens: what follows `user:` in GET /v1/me, logs and audit records';

/** `npm run tenant -- …`: makes tenants and owners' keys, and looks after members, by way of the operator function. */
export async function tenantCommand(argv: readonly string[], io: Surroundings): Promise<ExitCode> {
  const program = new Command('npm run tenant --')
    .description(
      "Makes tenants and one-day API keys of their owners, invites and removes members. Only who may invoke the operator's function can.",
    )
    .addHelpText('after', targetHelp)
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err });

  const withTarget = (command: Command): Command =>
    command
      .addOption(new Option('--local', 'the laptop stack').conflicts('function'))
      .addOption(
        new Option('--data <directory>', 'where the laptop stack keeps its data')
          .env('CATTERY_DATA')
          .default('.local'),
      )
      .addOption(
        new Option('--function <name>', 'the operator function')
          .env('CATTERY_OPERATOR_FUNCTION')
          .default(operatorFunction),
      )
      .addOption(
        new Option('-o, --output <format>', 'how to answer').choices(['text', 'json']).default('text'),
      );

  const invoke = async (command: Command, event: object) => {
    const options = command.opts<TargetOptions>();
    return { answer: await io.invoke(targetOf(options), event), format: options.output };
  };
  const act = async (command: Command, event: object): Promise<void> => {
    const { answer: made, format } = await invoke(command, event);
    io.out(shown(answer.parse(made), format));
  };
  const actOnMember = async (command: Command, event: object): Promise<void> => {
    const { answer: done, format } = await invoke(command, event);
    io.out(shownMember(memberAnswer.parse(done), format));
  };

  withTarget(program.command('create'))
    .description(
      'make a tenant, invite its owner, and print an API key for a day; again with the same name: the same tenant, a new key',
    )
    .argument('<name>', '1 to 63 characters of [a-z0-9-]')
    .requiredOption(
      '--owner <email>',
      "address whose first sign-in, verified by the issuer, becomes the tenant's owner",
    )
    .addHelpText(
      'after',
      '\nExample:\n  npm run tenant -- create team-blue --owner blue@example.com --local\n',
    )
    .action((name: string, { owner }: { owner: string }, command: Command) =>
      act(command, { action: 'create-tenant', name, ownerEmail: owner }),
    );

  withTarget(program.command('key'))
    .description("print another one-day API key of a tenant's owner")
    .argument('<name>', 'the name it was made with')
    .action((name: string, _options: object, command: Command) =>
      act(command, { action: 'owner-key', name }),
    );

  const role = () =>
    new Option('--role <role>', 'what they may do (docs/access.md)').choices(roles).makeOptionMandatory();

  withTarget(program.command('invite-member'))
    .description(
      'invite somebody: their first sign-in makes them a member; again: with the new role, for 30 days more',
    )
    .argument('<name>', 'the tenant')
    .requiredOption('--email <address>', 'as the issuer verifies it')
    .addOption(role())
    .addHelpText(
      'after',
      '\nExample:\n  npm run tenant -- invite-member team-blue --email ann@example.com --role viewer --local\n',
    )
    .action((name: string, { email, role: as }: { email: string; role: string }, command: Command) =>
      actOnMember(command, { action: 'invite-member', name, email, role: as }),
    );

  withTarget(program.command('set-member-role'))
    .description('give a member another role; what they have open is judged by it within 5 s')
    .argument('<name>', 'the tenant')
    .requiredOption('--subject <sub>', subjectHelp)
    .addOption(role())
    .action((name: string, { subject, role: as }: { subject: string; role: string }, command: Command) =>
      actOnMember(command, { action: 'set-member-role', name, subject, role: as }),
    );

  withTarget(program.command('remove-member'))
    .description('remove a member, or take back an invitation; what a member has open ends within 5 s')
    .argument('<name>', 'the tenant')
    .option('--subject <sub>', subjectHelp)
    .option('--email <address>', 'of an invitation that nobody has taken up')
    .addHelpText(
      'after',
      '\nWho has signed in is known by subject only. API keys belong to the tenant and stay: delete those that\n' +
        'a removed member may know.\n',
    )
    .action((name: string, { subject, email }: { subject?: string; email?: string }, command: Command) => {
      if (subject === undefined && email === undefined) {
        command.error('error: name a --subject, an --email, or both');
      }
      const who = {
        ...(subject === undefined ? {} : { subject }),
        ...(email === undefined ? {} : { email }),
      };
      return actOnMember(command, { action: 'remove-member', name, ...who });
    });

  try {
    await program.parseAsync([...argv], { from: 'user' });
    return 0;
  } catch (error) {
    // Commander has said it already, and helps with exit code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    io.err(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

function targetOf(options: { local?: true; data: string; function: string }): OperatorTarget {
  if (options.local) return { kind: 'laptop', dataDirectory: options.data };
  return { kind: 'aws', functionName: options.function };
}

function shown(made: z.infer<typeof answer>, format: 'text' | 'json'): string {
  if (format === 'json') return `${JSON.stringify(made)}\n`;
  return `tenant   ${made.name} (${made.tenantId})\nAPI key  ${made.apiKey}\n         shown once; an owner's, until ${made.expiresAt}\n`;
}

function shownMember(done: z.infer<typeof memberAnswer>, format: 'text' | 'json'): string {
  if (format === 'json') return `${JSON.stringify(done)}\n`;
  const { name, tenantId, subject, email, role, expiresAt, removed } = done;
  const lines = [
    `tenant   ${name} (${tenantId})`,
    ...(subject === undefined ? [] : [`subject  ${subject}`]),
    ...(email === undefined ? [] : [`address  ${email}`]),
    ...(role === undefined ? [] : [`role     ${role}`]),
    ...(expiresAt === undefined ? [] : [`invited  until ${expiresAt}`]),
    ...(removed?.membership === true ? ['removed  the membership'] : []),
    ...(removed?.invitation === true ? ['removed  the invitation'] : []),
  ];
  return `${lines.join('\n')}\n`;
}
