/** Child process around a long-running bundle or entry: imports it, and ends with its parent even when that is killed. */
const [file = ''] = process.argv.splice(2, 1);
process.on('disconnect', () => process.exit(0));
await import(file);
