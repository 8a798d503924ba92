/** What the templates say. One file, so that the CDK library is loaded once, and each context synthesised once. */
import './alarms.ts';
import './api.ts';
import './data.ts';
import './functions.ts';
import './nag.ts';
import './network.ts';
import './release-mirror.ts';
import './rights.ts';
import './scan-uploads.ts';
