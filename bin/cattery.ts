/** The CDK app, run by the cdk CLI (cdk.json): bundles what is deployed into build/, then describes the three stacks. */
import { bundleAll } from '../lib/bundle.ts';

// esbuild is a process of its own: it works while the CDK library is being loaded, which takes seconds.
const bundling = bundleAll();
const [{ App }, { readSettings }, { cattery }] = await Promise.all([
  import('aws-cdk-lib'),
  import('../lib/settings.ts'),
  import('../lib/stack.ts'),
]);

const app = new App();
const settings = readSettings((name) => app.node.tryGetContext(name) as unknown);
const { directory } = await bundling;
cattery(app, { settings, bundles: directory });
