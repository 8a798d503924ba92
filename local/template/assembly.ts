/** Reads a cloud assembly (`cdk.out`): the laptop stack declares nothing that the synthesised templates say already. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';

export type Properties = Readonly<Record<string, unknown>>;

export type Resource = {
  readonly stack: string;
  readonly logicalId: string;
  readonly type: string;
  /** As in the template: intrinsics unresolved. */
  readonly properties: Properties;
  readonly metadata: Properties;
};

export type Assembly = {
  readonly directory: string;
  readonly resources: readonly Resource[];
  /** Value of each output, unresolved, by stack and by export name. */
  readonly outputs: readonly { stack: string; name: string; value: unknown; exportName?: unknown }[];
  readonly parameters: Readonly<Record<string, Properties>>;
  /** Build contexts of container images, absolute: a COPY-only image holds just what is there. */
  readonly imageContexts: readonly string[];
};

const record = z.record(z.string(), z.unknown());
const manifestSchema = z.object({
  artifacts: z.record(
    z.string(),
    z.object({
      type: z.string(),
      properties: z.looseObject({ templateFile: z.string().optional() }).optional(),
    }),
  ),
});
const templateSchema = z.object({
  Resources: z
    .record(
      z.string(),
      z.object({ Type: z.string(), Properties: record.default({}), Metadata: record.default({}) }),
    )
    .default({}),
  Outputs: z
    .record(
      z.string(),
      z.looseObject({ Value: z.unknown(), Export: z.object({ Name: z.unknown() }).optional() }),
    )
    .default({}),
  Parameters: z.record(z.string(), record).default({}),
});

const assetsSchema = z.object({
  dockerImages: z
    .record(z.string(), z.object({ source: z.object({ directory: z.string().optional() }) }))
    .default({}),
});

/** Throws when the directory is no cloud assembly. */
export async function readAssembly(directory: string): Promise<Assembly> {
  const manifest = manifestSchema.parse(await readJson(path.join(directory, 'manifest.json')));
  const stacks = Object.entries(manifest.artifacts).filter(
    ([, artifact]) => artifact.type === 'aws:cloudformation:stack',
  );
  const read = await Promise.all(
    stacks.map(async ([stack, { properties }]) => ({
      stack,
      template: templateSchema.parse(
        await readJson(path.join(directory, properties?.templateFile ?? `${stack}.template.json`)),
      ),
      assets: assetsSchema.parse(await readJson(path.join(directory, `${stack}.assets.json`))),
    })),
  );
  return {
    directory,
    resources: read.flatMap(({ stack, template }) =>
      Object.entries(template.Resources).map(([logicalId, { Type, Properties, Metadata }]) => ({
        stack,
        logicalId,
        type: Type,
        properties: Properties,
        metadata: Metadata,
      })),
    ),
    outputs: read.flatMap(({ stack, template }) =>
      Object.entries(template.Outputs).map(([name, output]) => ({
        stack,
        name,
        value: output.Value,
        exportName: output.Export?.Name,
      })),
    ),
    parameters: Object.assign({}, ...read.map(({ template }) => template.Parameters)) as Record<
      string,
      Properties
    >,
    imageContexts: read
      .flatMap(({ assets }) => Object.values(assets.dockerImages))
      .flatMap(({ source }) =>
        source.directory === undefined ? [] : [path.join(directory, source.directory)],
      ),
  };
}

const readJson = async (file: string): Promise<unknown> => JSON.parse(await readFile(file, 'utf8'));
