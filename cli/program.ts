import { Command, CommanderError, Option } from 'commander';
import { me } from '../core/credential/registration-token-schema.ts';
import { apiKeyTable, createApiKey, deleteApiKey, listApiKeys } from './api-keys.ts';
import { clusterTable, listClusters } from './clusters.ts';
import { execCredential, openApi } from './credential.ts';
import type { DeploymentOptions } from './deployment.ts';
import { exitCodes, Failure, printable } from './failure.ts';
import { addImageCommands } from './image-commands.ts';
import { addImagesCommand } from './images-command.ts';
import { type KubeconfigOptions, writeKubeconfig } from './kubeconfig/write-kubeconfig.ts';
import { followProgress, progressText, showProgress } from './progress.ts';
import { createRegistrationToken } from './registration-tokens.ts';
import { login, type LoginOptions, logout } from './sign-in/login.ts';
import type { Surroundings } from './surroundings.ts';

type Formatted = DeploymentOptions & { readonly format: 'text' | 'json' };

/** Runs one command line and gives its exit code (docs/cli.md). */
export async function run(given: readonly string[], surroundings: Surroundings): Promise<number> {
  try {
    await program(surroundings).parseAsync(given, { from: 'user' });
    return 0;
  } catch (error) {
    // Commander has said what is wrong, or printed the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage;
    if (error instanceof Failure) {
      surroundings.err(`${error.message}\n`);
      return exitCodes[error.kind];
    }
    const { message } = error as Partial<Error>;
    surroundings.err(`cattery failed: ${printable(message ?? String(error))}\n`);
    return exitCodes.failed;
  }
}

function program(surroundings: Surroundings): Command {
  const { out, err, now } = surroundings;
  const json = (value: unknown) => out(`${JSON.stringify(value, null, 2)}\n`);
  const format = () =>
    new Option('-o, --format <format>', 'how it is printed').choices(['text', 'json']).default('text');

  const cattery = new Command('cattery')
    .description('Reach your Calico clusters through Cattery, with plain kubectl.')
    .version(surroundings.version)
    .exitOverride()
    .configureOutput({ writeOut: out, writeErr: err })
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(--help tells more)')
    .option(
      '--api-url <url>',
      "the deployment's API (default: CATTERY_API_URL, else where you signed in last)",
    )
    .option(
      '--ca-file <file>',
      'PEM of a CA to trust besides the system’s (default: CATTERY_CA_FILE; login remembers it)',
    )
    .addHelpText(
      'after',
      `
Begin with:
  cattery login --api-url https://api.example.com
  cattery clusters
  cattery kubeconfig my-cluster --merge
  kubectl --context cattery/my-cluster get pods -A

Without a browser (CI), instead of login:
  CATTERY_API_URL=… CATTERY_API_KEY=cak_…

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not signed in, 4 refused, 5 not reachable.`,
    );

  cattery
    .command('login')
    .description('sign in with a browser on this machine')
    .option('--no-browser', 'print the address to open, and open nothing')
    .addHelpText(
      'after',
      `
Examples:
  cattery login --api-url https://api.example.com
  cattery login --api-url https://127.0.0.1:8443 --ca-file .local/ca.pem    # the laptop stack
  cattery login                                                             # again, where you were

The browser comes back to this machine, port 27180, 27181 or 27182. From another machine, forward one:
  ssh -L 27180:127.0.0.1:27180 HOST`,
    )
    .action((_, command: Command) => login(surroundings, command.optsWithGlobals<LoginOptions>()));

  cattery
    .command('logout')
    .description('end the sign-in: revoke its refresh token where the issuer can, and forget it')
    .action((_, command: Command) => logout(surroundings, command.optsWithGlobals<DeploymentOptions>()));

  cattery
    .command('whoami')
    .description('show who you are to the API: tenant, principal, scopes')
    .addOption(format())
    .action(async (_, command: Command) => {
      const options = command.optsWithGlobals<Formatted>();
      const { deployment, api } = await openApi(surroundings, options);
      const who = await api.get(me, '/v1/me');
      if (options.format === 'json') json({ ...who, apiUrl: deployment.apiUrl });
      else {
        const lines = {
          principal: who.principal,
          tenant: who.tenantId,
          scopes: who.scopes.join(' '),
          api: deployment.apiUrl,
        };
        for (const [name, value] of Object.entries(lines))
          out(`${`${name}:`.padEnd(11)}${printable(value)}\n`);
      }
    });

  cattery
    .command('clusters')
    .description('list the clusters of your tenant, and whether they are connected')
    .addOption(format())
    .addHelpText(
      'after',
      '\nExample:\n  cattery clusters -o json | jq -r \'.items[] | select(.state != "connected").clusterName\'',
    )
    .action(async (_, command: Command) => {
      const options = command.optsWithGlobals<Formatted>();
      const { api } = await openApi(surroundings, options);
      const items = await listClusters(api);
      if (options.format === 'json') json({ items });
      else out(clusterTable(items, now()));
    });

  cattery
    .command('progress')
    .description('show how the install, upgrade, renewal or uninstall of a cluster gets on')
    .argument('<cluster>', 'by name or ID')
    .option('--follow', 'to its end: 0 it succeeded, 1 it failed or is unresponsive')
    .addOption(format())
    .addHelpText(
      'after',
      '\nExamples:\n  cattery progress shop\n  cattery progress shop --follow && kubectl --context cattery/shop get nodes',
    )
    .action(async (name: string, _, command: Command) => {
      const { follow, ...options } = command.optsWithGlobals<Formatted & { follow?: true }>();
      if (follow && options.format === 'json') {
        throw new Failure(
          'usage',
          'What is followed is printed as text: leave out --follow or --format json.',
        );
      }
      const { api } = await openApi(surroundings, options);
      const found = await showProgress(api, name);
      if (follow) await followProgress(surroundings, api, found);
      else if (options.format === 'json') json(found.progress);
      else out(progressText(found.cluster.clusterName, found.progress, now()));
    });

  cattery
    .command('kubeconfig')
    .description('write a kubeconfig whose tokens come from cattery, so that kubectl works from then on')
    .argument('<cluster...>', 'clusters, by name or ID')
    .option(
      '--merge',
      'into the kubeconfig that kubectl uses ($KUBECONFIG or ~/.kube/config), or into --output',
    )
    .option('--output <file>', 'to a file instead of the terminal')
    .option('--use', 'with --merge: make the first cluster the current context')
    .addHelpText(
      'after',
      `
Examples:
  cattery kubeconfig shop --merge && kubectl --context cattery/shop get pods -A
  cattery kubeconfig shop stock --output both.yaml && KUBECONFIG=both.yaml kubectl get nodes`,
    )
    .action((clusters: string[], _, command: Command) =>
      writeKubeconfig(surroundings, clusters, command.optsWithGlobals<KubeconfigOptions>()),
    );

  cattery
    .command('token')
    .description('print a token as kubectl wants it from a plugin (ExecCredential); kubeconfigs call this')
    .addHelpText(
      'after',
      '\nExample:\n  curl -H "Authorization: Bearer $(cattery token | jq -r .status.token)" …',
    )
    .action(async (_, command: Command) =>
      json(await execCredential(surroundings, command.optsWithGlobals<DeploymentOptions>())),
    );

  cattery
    .command('registration-token')
    .description('tokens with which clusters register')
    .command('create')
    .description('make a token that registers one cluster, once, and print it')
    .argument('[cluster]', 'the name that the cluster must take: 1 to 63 of a-z 0-9 . -')
    .option('--ttl <span>', 'how long it may be used: 30m, 12h; a day at most (default: 1h)')
    .addOption(format())
    .addHelpText(
      'after',
      `
Example, with kubectl at the cluster (docs/connect-a-cluster.md):
  export CATTERY_TOKEN=$(cattery registration-token create shop)
  curl -fsSL https://api.example.com/install.sh | sh -s -- --name shop`,
    )
    .action(async (clusterName: string | undefined, _, command: Command) => {
      const { ttl, ...options } = command.optsWithGlobals<Formatted & { ttl?: string }>();
      const { api } = await openApi(surroundings, options);
      const issued = await createRegistrationToken(api, {
        ...(clusterName === undefined ? {} : { clusterName }),
        ...(ttl === undefined ? {} : { ttl }),
      });
      if (options.format === 'json') json(issued);
      else {
        const { tokenId, expiresAt } = issued;
        err(printable(`Token ${tokenId}, until ${expiresAt}. It is not shown again:`) + '\n');
        out(`${issued.token}\n`);
      }
    });

  const apiKey = cattery.command('api-key').description('API keys of your tenant, for CI and other programs');
  apiKey
    .command('create')
    .description('make a key and print it, once')
    .argument('<name>', 'for people; two keys may have the same while one replaces the other')
    .option('--scope <scope...>', 'what it may do (default: what you may, but making keys)')
    .option('--ttl <span>', 'how long it works: 90d, 12h, 30m (default: 90d)')
    .addOption(format())
    .addHelpText(
      'after',
      `
Examples:
  cattery api-key create ci --scope scans:write --ttl 30d
  CATTERY_API_KEY=$(cattery api-key create robot --scope clusters:read clusters:access)`,
    )
    .action(async (name: string, _, command: Command) => {
      const {
        scope: scopes,
        ttl,
        ...options
      } = command.optsWithGlobals<Formatted & { scope?: string[]; ttl?: string }>();
      const { api } = await openApi(surroundings, options);
      const issued = await createApiKey(api, {
        name,
        ...(scopes ? { scopes } : {}),
        ...(ttl === undefined ? {} : { ttl }),
      });
      if (options.format === 'json') json(issued);
      else {
        err(
          printable(
            `Key ${issued.keyId}, until ${issued.expiresAt}: ${issued.scopes.join(' ')}. It is not shown again:`,
          ) + '\n',
        );
        out(`${issued.key}\n`);
      }
    });
  apiKey
    .command('list')
    .description('list the keys, without their secrets')
    .addOption(format())
    .action(async (_, command: Command) => {
      const options = command.optsWithGlobals<Formatted>();
      const { api } = await openApi(surroundings, options);
      const items = await listApiKeys(api);
      if (options.format === 'json') json({ items });
      else out(apiKeyTable(items, now()));
    });
  apiKey
    .command('delete')
    .description('delete a key; it works no more within 5 s')
    .argument('<id>', 'of `cattery api-key list`')
    .action(async (id: string, _, command: Command) => {
      const { api } = await openApi(surroundings, command.optsWithGlobals<DeploymentOptions>());
      await deleteApiKey(api, id);
      err(`Key ${printable(id)} is deleted.\n`);
    });
  addImagesCommand(cattery, surroundings, format);
  addImageCommands(cattery, surroundings, format);
  return cattery;
}
