import { Command, CommanderError } from 'commander';
import { type Catalogue, CatalogueError } from '../core/release/catalogue.ts';
import { checkManifests, type ManifestVerdict } from './manifest-check.ts';

type Surroundings = {
  readonly catalogue: () => Catalogue;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
};

/** 0: all is as in the catalogue. 1: something is not. 2: the command line is wrong. */
type ExitCode = 0 | 1 | 2;

const more = `
The directory holds a folder for each release: DIR/v3.32.1/operator-crds.yaml and so on. One line for each manifest:
  ok           it is what the catalogue says (core/release/releases/<version>.json)
  changed      its length or its SHA-256 is another
  missing      it is not there
  unreadable   it cannot be read

Exit codes: 0 all ok, 1 anything else, 2 wrong command line.
`;

/** `npm run releases -- check DIR [VERSION…]`: verifies a directory of manifests against the catalogue. */
export async function releasesCommand(argv: readonly string[], io: Surroundings): Promise<ExitCode> {
  let code: ExitCode = 0;
  const program = new Command('npm run releases --')
    .description(
      'Compares manifests of Calico with the catalogue of releases that this control plane offers.',
    )
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err });
  program
    .command('check')
    .description('verify the length and the SHA-256 of every manifest in a directory')
    .argument('<directory>', 'where the manifests are')
    .argument('[versions...]', 'of these releases only; all of the catalogue when none is given')
    .addHelpText('after', more)
    .action(async (directory: string, versions: readonly string[], _: unknown, command: Command) => {
      const { releases, find } = io.catalogue();
      const unknown = versions.filter((version) => !find(version));
      if (unknown.length > 0) {
        const offered = releases.map(({ version }) => version).join(', ');
        command.error(`error: not in the catalogue: ${unknown.join(', ')}. It has ${offered}.`);
      }
      const chosen = versions.length === 0 ? releases : versions.flatMap((version) => find(version) ?? []);
      const verdicts = await checkManifests(directory, chosen);
      for (const verdict of verdicts) io.out(line(verdict));
      if (verdicts.some(({ verdict }) => verdict !== 'ok')) code = 1;
    });
  try {
    await program.parseAsync(argv, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (!(error instanceof CatalogueError)) throw error;
    io.err(`The catalogue is broken: ${error.message}\n`);
    return 1;
  }
}

const line = ({ file, verdict, why }: ManifestVerdict): string =>
  `${file.padEnd(29)} ${verdict}${why === undefined ? '' : `: ${why}`}\n`;
