import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { build, type BuildOptions, type Metafile } from 'esbuild';

const root = path.join(import.meta.dirname, '..');

/** Name of the tunnel server's bundle; the others are the functions' roles. */
export const tunnelBundle = 'tunnel';

/** What else goes into the tunnel server's image: its entries by the name of their file, which the pod's command names. */
const besideTunnel = { 'admission-webhook': 'admission-webhook/main.ts' };

export type Bundle = {
  readonly name: string;
  /** Where `index.mjs` lies, what it reads at run time, and nothing that is not deployed. */
  readonly directory: string;
  /** Size of `index.mjs`. */
  readonly bytes: number;
  /** What went in; also beside the directory, as `<name>.meta.json`. */
  readonly metafile: Metafile;
};

const options = {
  bundle: true,
  minify: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  // The ES modules of the SDK and of zod can be shaken; their CommonJS twins double the bundle.
  mainFields: ['module', 'main'],
  // CommonJS inside an ES module: what is left of `require` are Node's own modules.
  banner: {
    js: "import{createRequire as _createRequire}from'node:module';const require=_createRequire(import.meta.url);",
  },
  legalComments: 'external',
  metafile: true,
  write: false,
  absWorkingDir: root,
  logLevel: 'warning',
} as const satisfies BuildOptions;

/**
 * Where the SDK would look for credentials outside Lambda, which sets them in the environment: loaded on demand, so
 * never, and 80 KB of every function.
 */
const unreachableInLambda = ['http', 'ini', 'login', 'process', 'sso', 'web-identity'].map(
  (kind) => `@aws-sdk/credential-provider-${kind}`,
);

/**
 * What a module reads at run time, from beside itself: it lies beside the bundle under the same name, so that
 * `new URL('<name>', import.meta.url)` finds it in both places.
 */
const readAtRunTime: Readonly<Record<string, string>> = {
  'core/release/catalogue.ts': 'releases',
  'functions/install-assets/installer.ts': 'install.sh',
  'functions/install-assets/scan-reporter.ts': 'scan-report.sh',
};

/** The roles: one folder each, with the function's entry in `handler.ts`. */
export async function functionRoles(): Promise<readonly string[]> {
  const entries = await readdir(path.join(root, 'functions'), { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

/**
 * Bundles every function and the tunnel server: `<directory>/<name>/index.mjs`. The same sources give the same bytes,
 * and files are replaced whole, so that a second run beside a running stack does no harm.
 */
export async function bundleAll(
  directory: string = path.join(root, 'build'),
): Promise<{ directory: string; bundles: readonly Bundle[] }> {
  const roles = await functionRoles();
  const bundles = await Promise.all([
    ...roles.map((role) => bundle(role, `functions/${role}/handler.ts`, directory)),
    bundle(tunnelBundle, 'tunnel-fargate/main.ts', directory, besideTunnel),
  ]);
  return { directory, bundles };
}

async function bundle(
  name: string,
  entry: string,
  parent: string,
  beside: Readonly<Record<string, string>> = {},
): Promise<Bundle> {
  const directory = path.join(parent, name);
  // Lambda pays for every byte at a cold start: its map stays here. The container starts seldom and carries its own.
  const sourcemap = name === tunnelBundle ? 'linked' : 'external';
  const external = name === tunnelBundle ? [] : unreachableInLambda;
  const { outputFiles, metafile } = await build({
    ...options,
    entryPoints: { index: entry, ...beside },
    outdir: directory,
    outExtension: { '.js': '.mjs' },
    sourcemap,
    external,
  });

  await mkdir(directory, { recursive: true });
  const files = new Map(outputFiles.map(({ path: file, contents }) => [path.basename(file), contents]));
  const map = files.get('index.mjs.map');
  if (map && sourcemap === 'external') {
    files.delete('index.mjs.map');
    await replace(parent, `${name}.mjs.map`, map);
  }
  // The image is built from the bundle's own directory, so that nothing else can get in.
  if (name === tunnelBundle)
    files.set('Dockerfile', await readFile(path.join(root, 'tunnel-fargate/Dockerfile')));

  for (const [file, contents] of await filesReadBy(metafile)) files.set(file, contents);

  await replace(parent, `${name}.meta.json`, Buffer.from(JSON.stringify(metafile)));
  for (const [file, contents] of files) await replace(parent, `${name}/${file}`, contents);
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const file = path.relative(directory, path.join(entry.parentPath, entry.name));
    if (!entry.isDirectory() && !files.has(file)) await rm(path.join(directory, file), { force: true });
  }
  return { name, directory, bytes: files.get('index.mjs')?.byteLength ?? 0, metafile };
}

/** What the modules of a bundle read at run time, by its path beside the bundle. */
async function filesReadBy({ inputs }: Metafile): Promise<ReadonlyMap<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for (const [module, name] of Object.entries(readAtRunTime)) {
    if (!(module in inputs)) continue;
    const folder = path.join(root, path.dirname(module));
    const directory = (await stat(path.join(folder, name))).isDirectory();
    const files = directory
      ? (await readdir(path.join(folder, name))).map((file) => `${name}/${file}`)
      : [name];
    for (const file of files) found.set(file, await readFile(path.join(folder, file)));
  }
  return found;
}

/** Writes beside and renames, so that a reader finds the old file or the new one; the asset's directory holds no third. */
async function replace(parent: string, file: string, contents: Uint8Array): Promise<void> {
  const fresh = path.join(parent, `.${file.replaceAll('/', '.')}.${process.pid}`);
  await mkdir(path.dirname(path.join(parent, file)), { recursive: true });
  await writeFile(fresh, contents);
  await rename(fresh, path.join(parent, file));
}
