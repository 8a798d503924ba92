import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import * as z from 'zod';
import { listedStatement } from '../core/image/statements-schema.ts';
import { openApi } from './credential.ts';
import type { DeploymentOptions } from './deployment.ts';
import { Failure, printable } from './failure.ts';
import {
  addException,
  exceptionTable,
  importExceptions,
  importSummary,
  importTable,
  listExceptions,
  type NewException,
  removeException,
} from './image-exceptions.ts';
import { listStatements, removeStatement, removeStatementsOf, statementTable } from './image-statements.ts';
import type { Surroundings } from './surroundings.ts';

/** Whatever the API has: it may know members that this program does not. */
const policyOfApi = z.looseObject({});

type Formatted = DeploymentOptions & { readonly format: 'text' | 'json' };

/** Adds the commands about image scans: exceptions, VEX statements and the policy. */
export function addImageCommands(cattery: Command, surroundings: Surroundings, format: () => Option): void {
  const { out, err, now } = surroundings;
  const json = (value: unknown) => out(`${JSON.stringify(value, null, 2)}\n`);

  const exception = cattery
    .command('image-exception')
    .description('findings of image scans that do not count, for a while');
  exception
    .command('list')
    .description('list the exceptions, the latest first')
    .option('--vulnerability <name>', 'those about it')
    .addOption(new Option('--state <state>', 'which').choices(['active', 'expired', 'all']).default('active'))
    .addOption(format())
    .action(async (_, command: Command) => {
      const options = command.optsWithGlobals<Formatted & { state: string; vulnerability?: string }>();
      const { api } = await openApi(surroundings, options);
      const items = await listExceptions(api, options);
      if (options.format === 'json') json({ items });
      else out(exceptionTable(items, now()));
    });
  exception
    .command('add')
    .description('make an exception, and print its ID')
    .option('--vulnerability <name>', 'a CVE, GHSA or the like; aliases are found')
    .option('--package <name>', 'by name, or by package URL without version')
    .option('--image <digest>', 'for one image')
    .option('--repository <pattern>', 'for the images of <registry>/<repository>; * and ** are stars')
    .option('--everywhere', 'for all images')
    .requiredOption('--justification <text>', 'why')
    .option('--ttl <span>', 'how long it holds: 90d, 12h; 366d at most', '30d')
    .addOption(format())
    .addHelpText(
      'after',
      `
Example:
  cattery image-exception add --vulnerability CVE-2019-14697 --package pkg:apk/alpine/musl \\
    --repository 'registry.example/shop/**' --ttl 14d --justification 'not reachable, fix due with 3.11'`,
    )
    .action(async (_, command: Command) => {
      const {
        vulnerability,
        package: name,
        image,
        repository,
        everywhere,
        justification,
        ttl,
        ...options
      } = command.optsWithGlobals<Formatted & NewException>();
      const { api } = await openApi(surroundings, options);
      const made = await addException(
        api,
        {
          ...(vulnerability === undefined ? {} : { vulnerability }),
          ...(name === undefined ? {} : { package: name }),
          ...(image === undefined ? {} : { image }),
          ...(repository === undefined ? {} : { repository }),
          ...(everywhere ? { everywhere } : {}),
          justification,
          ttl,
        },
        now(),
      );
      if (options.format === 'json') json(made);
      else {
        err(printable(`It holds until ${made.expiresAt}.`) + '\n');
        out(`${made.exceptionId}\n`);
      }
    });
  exception
    .command('remove')
    .description('take an exception away; verdicts follow at once')
    .argument('<id>', 'of `cattery image-exception list`')
    .action(async (id: string, _, command: Command) => {
      const { api } = await openApi(surroundings, command.optsWithGlobals<DeploymentOptions>());
      await removeException(api, id);
      err(`Exception ${printable(id)} is taken away.\n`);
    });
  exception
    .command('import')
    .description('take exceptions from CSV: all of them or, with a fault in one row, none')
    .argument('<file>', 'columns vulnerability, package, image, repository, justification, expires')
    .option('--dry-run', 'say what would happen, and change nothing: 1 if a row is faulty')
    .addOption(format())
    .action(async (file: string, _, command: Command) => {
      const { dryRun = false, ...options } = command.optsWithGlobals<Formatted & { dryRun?: true }>();
      const csv = await textOf(file);
      const { api } = await openApi(surroundings, options);
      const result = await importExceptions(api, csv, { dryRun });
      if (options.format === 'json') json(result);
      else out(importTable(result));
      err(`${importSummary(result)}\n`);
      if (result.totals.faulty > 0) throw new Failure('failed', 'With these rows nothing would be imported.');
    });

  addStatementCommands(cattery, surroundings, format);

  const policy = cattery.command('image-policy').description('what makes an image pass, warn or fail (JSON)');
  policy
    .command('show')
    .description('print the policy')
    .action(async (_, command: Command) => {
      const { api } = await openApi(surroundings, command.optsWithGlobals<DeploymentOptions>());
      json(await api.get(policyOfApi, '/v1/image-policy'));
    });
  policy
    .command('set')
    .description('replace the policy by that of a file, and print it; verdicts follow at once')
    .argument('<file>', 'as `cattery image-policy show` prints it; what is left out has its default')
    .action(async (file: string, _, command: Command) => {
      const given = jsonOf(await textOf(file));
      const { api } = await openApi(surroundings, command.optsWithGlobals<DeploymentOptions>());
      json(await api.put(policyOfApi, '/v1/image-policy', given));
    });
}

function addStatementCommands(cattery: Command, surroundings: Surroundings, format: () => Option): void {
  const { out, err, now } = surroundings;
  const statement = cattery
    .command('image-statement')
    .description('what the authors of VEX documents say about findings of image scans');
  statement
    .command('list')
    .description('list what they say, the latest first')
    .option('--vulnerability <name>', 'those about it; aliases are found')
    .option('--author <name>', 'those of an author, as the document has it')
    .addOption(
      new Option('--status <status>', 'those that say so').choices(listedStatement.shape.status.options),
    )
    .addOption(format())
    .action(async (_, command: Command) => {
      const { vulnerability, author, status, ...options } = command.optsWithGlobals<
        Formatted & { vulnerability?: string; author?: string; status?: string }
      >();
      const { api } = await openApi(surroundings, options);
      const items = await listStatements(api, { vulnerability, author, status });
      out(
        options.format === 'json' ? `${JSON.stringify({ items }, null, 2)}\n` : statementTable(items, now()),
      );
    });
  statement
    .command('remove')
    .description('take back what an author says about a vulnerability in a product; verdicts follow at once')
    .argument('[id]', 'of `cattery image-statement list`')
    .option('--author <name>', 'instead: all that this author says')
    .action(async (id: string | undefined, _, command: Command) => {
      const { author, ...options } = command.optsWithGlobals<DeploymentOptions & { author?: string }>();
      if ((id === undefined) === (author === undefined)) {
        throw new Failure('usage', 'Say which: an ID, or all of one --author.');
      }
      const { api } = await openApi(surroundings, options);
      if (id !== undefined) await removeStatement(api, id);
      else if (author !== undefined) await removeStatementsOf(api, author);
      err(
        id === undefined
          ? `All statements of ${printable(author ?? '')} are taken back.\n`
          : `Statement ${printable(id)} is taken back.\n`,
      );
    });
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    throw new Failure('failed', printable(`${file} cannot be read (${code}).`), error);
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Failure('failed', 'The file is not JSON.', error);
  }
}
