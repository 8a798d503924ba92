/** `npm run releases -- …`, for who adds a release or fills a mirror: compares files with the catalogue; changes nothing. */
import { releasesCommand } from './releases-command.ts';
import { catalogue } from '../core/release/catalogue.ts';

process.exitCode = await releasesCommand(process.argv.slice(2), {
  catalogue,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
});
