import { type Command, Option } from 'commander';
import { openApi } from './credential.ts';
import type { DeploymentOptions } from './deployment.ts';
import { Failure } from './failure.ts';
import { exported, type ExportFormat, exportToFile, exportVexFiles } from './image-export.ts';
import {
  findImage,
  findingTable,
  imageFilter,
  type ImageOptions,
  imageTable,
  imageText,
  listFindings,
  listImages,
} from './images.ts';
import type { Surroundings } from './surroundings.ts';

type Formatted = DeploymentOptions & { readonly format: 'text' | 'json' };

/** Adds `cattery images`: which there are, why one has its verdict, and all of them as a file. */
export function addImagesCommand(cattery: Command, surroundings: Surroundings, format: () => Option): void {
  const { out, err, now } = surroundings;
  const json = (value: unknown) => out(`${JSON.stringify(value, null, 2)}\n`);
  const filtered = (command: Command): Command =>
    command
      .addOption(new Option('--verdict <verdict>', 'of this moment').choices(['pass', 'warn', 'fail']))
      .option('--severity <list>', 'that have a finding of one of them that counts: critical,high')
      .option('--vulnerability <name>', 'that have it: a CVE, GHSA or the like; aliases are found')
      .option('--fixable', 'that have a finding that counts and has a fix')
      .option('--not-fixable', 'that have one that counts and has none')
      .option('--repository <pattern>', 'of <registry>/<repository>; * and ** are stars')
      .option('--cluster <cluster>', 'that run in it, by name or ID');

  const images = cattery.command('images').description('the images that were scanned, and their verdicts');
  filtered(images.command('list'))
    .description('list images: all, or those that have everything that is asked for')
    .addOption(format())
    .addHelpText(
      'after',
      `
With several of --vulnerability, --severity and --fixable, one finding has to be all of it.

Examples:
  cattery images list --verdict fail --cluster shop
  cattery images list --vulnerability CVE-2021-44228
  cattery images list --severity critical,high --fixable --repository 'registry.example/shop/**'`,
    )
    .action(async (_, command: Command) => {
      const options = command.optsWithGlobals<Formatted & ImageOptions>();
      const { api } = await openApi(surroundings, options);
      const items = await listImages(api, await imageFilter(api, options));
      if (options.format === 'json') json({ items });
      else out(imageTable(items, now()));
    });

  images
    .command('show')
    .description('show the verdict about an image, and why')
    .argument('<digest>', 'sha256:…, of `cattery images list`')
    .option('--findings', 'all findings, not those alone that decide')
    .addOption(format())
    .addHelpText('after', '\nExample:\n  cattery images show sha256:4f0c… --findings')
    .action(async (digest: string, _, command: Command) => {
      const { findings: all, ...options } = command.optsWithGlobals<Formatted & { findings?: true }>();
      const { api } = await openApi(surroundings, options);
      const image = await findImage(api, digest);
      const findings = all ? await listFindings(api, digest) : undefined;
      if (options.format === 'json') json({ ...image, ...(findings ? { findings } : {}) });
      else if (findings) out(`${imageText({ ...image, reasons: [] }, now())}\n${findingTable(findings)}`);
      else out(imageText(image, now()));
    });

  filtered(images.command('export'))
    .description('write images with their findings, or those findings that are asked for, as one file')
    .addOption(
      new Option('--format <format>', 'of the file').choices(['csv', 'json', 'cyclonedx-vex']).default('csv'),
    )
    .option('--output <file>', 'instead of the terminal; of cyclonedx-vex a directory, a file for each image')
    .addHelpText(
      'after',
      `
CycloneDX VEX (1.6) is a document for each image: on the terminal one a line.

Examples:
  cattery images export --verdict fail --output failing.csv
  cattery images export --format json --vulnerability CVE-2021-44228 | jq -r '.[].digest'
  cattery images export --format cyclonedx-vex --repository 'registry.example/shop/**' --output vex/`,
    )
    .action(async (_, command: Command) => {
      const {
        format: form,
        output,
        ...options
      } = command.optsWithGlobals<
        DeploymentOptions & ImageOptions & { format: ExportFormat; output?: string }
      >();
      const { api } = await openApi(surroundings, options);
      const filter = await imageFilter(api, options);
      if (output === undefined) {
        for await (const text of exported(api, filter, form)) out(text);
      } else if (form === 'cyclonedx-vex') {
        const files = await exportVexFiles(api, filter, output);
        if (files === 0) throw new Failure('failed', 'There are no such images: nothing is written.');
        err(`${files} documents are written.\n`);
      } else {
        await exportToFile(exported(api, filter, form), output);
      }
    });
}
