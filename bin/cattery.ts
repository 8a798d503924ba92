/** The CDK app, run by the cdk CLI (cdk.json): bundles what is deployed into build/, then describes the three stacks. */
import { App } from 'aws-cdk-lib';
import { bundleAll } from '../lib/bundle.ts';
import { readSettings } from '../lib/settings.ts';
import { cattery } from '../lib/stack.ts';

const app = new App();
const settings = readSettings((name) => app.node.tryGetContext(name) as unknown);
const { directory } = await bundleAll();
cattery(app, { settings, bundles: directory });
