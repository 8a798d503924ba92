import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from '@jest/globals';
import { App, type Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { functionRoles, tunnelBundle } from '../../lib/bundle.ts';
import { readSettings } from '../../lib/settings.ts';
import { cattery } from '../../lib/stack.ts';

export type Resource = {
  readonly Type: string;
  readonly Properties: Record<string, unknown>;
  readonly DependsOn?: readonly string[];
  readonly DeletionPolicy?: string;
};
export type Resources = Readonly<Record<string, Resource>>;
export type StackName = 'data' | 'network' | 'api';

export type Described = { readonly app: App; readonly stacks: Readonly<Record<StackName, Stack>> };
export type Synthesis = Described & {
  readonly templates: Readonly<Record<StackName, Template>>;
  /** Resources of one stack, or of all three. */
  resources(type: string, stack?: StackName): Resources;
};

const flags = (
  JSON.parse(readFileSync(path.join(import.meta.dirname, '../../cdk.json'), 'utf8')) as {
    context: Record<string, unknown>;
  }
).context;

const directories: string[] = [];
afterAll(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** The app with this context, not yet synthesised, over bundles that are empty: what is in them is test/lib/bundle.test.ts's matter. */
export async function describeApp(context: Readonly<Record<string, string>> = {}): Promise<Described> {
  const directory = mkdtempSync(path.join(tmpdir(), 'cattery-synthesis-'));
  directories.push(directory);
  for (const name of [...(await functionRoles()), tunnelBundle]) {
    mkdirSync(path.join(directory, 'build', name), { recursive: true });
    // Each differs, or they would be one asset.
    writeFileSync(path.join(directory, 'build', name, 'index.mjs'), `export const handler = '${name}';`);
  }
  writeFileSync(path.join(directory, 'build', tunnelBundle, 'Dockerfile'), 'FROM scratch\n');
  const app = new App({
    context: { ...flags, ...context },
    analyticsReporting: false,
    outdir: path.join(directory, 'cdk.out'),
  });
  const settings = readSettings((name) => app.node.tryGetContext(name) as unknown);
  const stacks = cattery(app, { settings, bundles: path.join(directory, 'build') });
  return { app, stacks };
}

const made = new Map<string, Promise<Synthesis>>();

/** The templates of the app with this context, made once in a file. */
export function synthesise(context: Readonly<Record<string, string>> = {}): Promise<Synthesis> {
  const key = JSON.stringify(context);
  const known = made.get(key) ?? synthesis(context);
  made.set(key, known);
  return known;
}

async function synthesis(context: Readonly<Record<string, string>>): Promise<Synthesis> {
  const { app, stacks } = await describeApp(context);
  const templates = {
    data: Template.fromStack(stacks.data),
    network: Template.fromStack(stacks.network),
    api: Template.fromStack(stacks.api),
  };
  const names: readonly StackName[] = ['data', 'network', 'api'];
  return {
    app,
    stacks,
    templates,
    resources: (type, stack) => {
      const found: Record<string, Resource> = {};
      for (const name of names.filter((one) => stack === undefined || one === stack)) {
        const own = templates[name].findResources(type) as Resources;
        // The CDK gives what is behind its triggers the same ID in each stack: the second is not the first.
        for (const [id, resource] of Object.entries(own))
          found[id in found ? `${name}/${id}` : id] = resource;
      }
      return found;
    },
  };
}
