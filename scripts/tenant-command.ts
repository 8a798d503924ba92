import { Command, CommanderError, Option } from 'commander';
import * as z from 'zod';

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

const targetHelp = `
Where the operator function is:
  in AWS      the function cattery-operator of AWS_REGION's account (--function names another),
              with AWS credentials that allow lambda:InvokeFunction on it
  on a laptop --local, while npm start is running

Exit codes: 0 done, 1 failed, 2 wrong command line.
`;

/** `npm run tenant -- …`: makes tenants and owners' keys by way of the operator function. */
export async function tenantCommand(argv: readonly string[], io: Surroundings): Promise<ExitCode> {
  const program = new Command('npm run tenant --')
    .description(
      "Makes tenants, and one-day API keys of their owners. Only who may invoke the operator's function can.",
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

  const act = async (command: Command, event: object): Promise<void> => {
    const options = command.opts<{
      local?: true;
      data: string;
      function: string;
      output: 'text' | 'json';
    }>();
    io.out(shown(answer.parse(await io.invoke(targetOf(options), event)), options.output));
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
