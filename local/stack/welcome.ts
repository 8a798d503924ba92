import path from 'node:path';
import { type StackState, standardDirectory } from './state.ts';

type Surroundings = { readonly issuer: string; readonly email: string; readonly directory: string };

/** What `npm start` prints when all is up: where things are, who signs in, and commands to try, ready to paste. */
export function welcome(state: StackState, { issuer, email, directory }: Surroundings): string {
  const stack = path.join(directory, 'stack.json');
  const kubeconfig = shellWord(path.join(directory, 'kubeconfig'));
  const token = `npm run --silent local --${directory === standardDirectory ? '' : ` --data ${shellWord(directory)}`} token`;
  const lines = [
    '',
    'Cattery is up.',
    '',
    `  API        ${state.apiUrl}`,
    `  Access     ${state.accessUrl}`,
    `  Tunnel     ${state.tunnelAddress}`,
    `  CA         ${state.caFile}`,
    `  Sign-in    ${email}, no password (${issuer})`,
    `  All of it  ${stack}, with an owner's API key for 24 h`,
    '',
    'In another terminal:',
    '',
    `  CA=${shellWord(state.caFile)} API=${state.apiUrl}`,
    `  TOKEN=$(${token})`,
    '',
  ];
  if (state.demoClusterId !== null) {
    const cluster = state.demoClusterId;
    lines.push(
      '  # the demo cluster, through its tunnel, with kubectl',
      `  curl -s --cacert "$CA" -H "Authorization: Bearer $TOKEN" "$API/v1/clusters/${cluster}/kubeconfig?embed=token" > ${kubeconfig}`,
      `  kubectl --kubeconfig ${kubeconfig} get pods -A`,
      `  kubectl --kubeconfig ${kubeconfig} get pods -A --watch`,
      '',
      '  # the same with curl',
      `  curl -s --cacert "$CA" -H "Authorization: Bearer $TOKEN" ${state.accessUrl}/clusters/${cluster}/api/v1/pods`,
      '',
    );
  }
  lines.push(
    '  # a scan report, and its verdict',
    '  curl -s --cacert "$CA" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\',
    '    --data-binary @test/fixtures/scan-reports/trivy-alpine-310.json "$API/v1/scans?digest=sha256:451eee8bedcb2f029756dc3e9d73bab0e7943c1ac55cff3a4861c52a0fdd3e98"',
    '',
    "  # connect a cluster of yours: the one of kubectl's current context (docs/connect-a-cluster.md)",
    ...connectCommand,
    ...(isLoopback(state.tunnelAddress) ? elsewhere(state.tunnelAddress) : []),
  );
  if (state.demoClusterId !== null) {
    lines.push(
      '',
      '  # disconnect the demo cluster',
      `  curl -s --cacert "$CA" -H "Authorization: Bearer $TOKEN" -X DELETE $API/v1/clusters/${state.demoClusterId}`,
    );
  }
  lines.push('', 'Ctrl-C stops everything.', '');
  return lines.join('\n');
}

/** A fresh token goes to the installer by the environment: arguments are there for everyone on the machine to see. */
const connectCommand = [
  '  curl -fsS --cacert "$CA" "$API/install.sh" | \\',
  `    CATTERY_TOKEN=$(curl -fsS --cacert "$CA" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{}' \\`,
  String.raw`      "$API/v1/registration-tokens" | sed 's/.*"token":"\([^"]*\)".*/\1/') sh -s -- --ca-file "$CA"`,
];

const elsewhere = (tunnelAddress: string): readonly string[] => [
  `  # Its pods dial ${tunnelAddress}, which only this machine reaches. For clusters elsewhere, start with:`,
  '  #   npm start -- --listen 0.0.0.0 --advertise HOST',
];

/** `host:port` */
const isLoopback = (address: string): boolean => /^(?:127\.|localhost:|\[::1\])/.test(address);

/** As a POSIX shell takes it for one word. */
const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
