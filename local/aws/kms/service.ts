import { timingSafeEqual } from 'node:crypto';
import { jsonAnswer, jsonFailure, jsonInput, jsonOperation } from '../aws-call.ts';
import type { Answer, AwsCall, AwsService } from '../aws-call.ts';
import { AwsError, notServed } from '../aws-error.ts';
import { accessDeniedException } from '../iam/authoriser.ts';
import type { Authoriser, Context } from '../iam/authoriser.ts';
import type { KeySpec } from '../specs.ts';
import { openKeys } from './key-store.ts';
import type { LocalKey } from './key-store.ts';

const served = ['DescribeKey', 'GenerateMac', 'GetPublicKey', 'Sign', 'VerifyMac'] as const;
type Operation = (typeof served)[number];
/** KMS takes messages of this many bytes. */
const maxMessageBytes = 4_096;

/** KMS for the template's keys: signatures by P-256 keys, MACs by HMAC-SHA-256 keys. */
export async function kmsService(options: {
  dataDir: string;
  keys: readonly KeySpec[];
  authoriser: Authoriser;
  accountId: string;
  region: string;
  now: () => number;
}): Promise<AwsService> {
  const { authoriser, accountId, region } = options;
  const keys = await openKeys(options.dataDir, options.keys, options.now);
  const byName = new Map<string, LocalKey>();
  for (const key of keys) {
    for (const name of [key.spec.keyId, key.spec.arn]) byName.set(name, key);
    for (const alias of key.spec.aliases ?? []) {
      byName.set(alias, key);
      byName.set(`arn:aws:kms:${region}:${accountId}:${alias}`, key);
    }
  }

  async function handle(call: AwsCall): Promise<Answer> {
    const operation = jsonOperation(call);
    if (!isServed(operation)) throw notServed('kms', operation);
    const input = jsonInput(call);
    const name = text(input, 'KeyId');
    const key = byName.get(name);
    if (!key) throw new AwsError('NotFoundException', `Key '${name}' does not exist`);
    const alias = /(?:^|:)(alias\/.+)$/.exec(name)?.[1];
    const context: Context = {
      'kms:CallerAccount': call.caller.principalArn.split(':')[4] ?? accountId,
      'kms:KeySpec': key.spec.keySpec,
      'kms:KeyUsage': key.spec.usage,
      'kms:KeyOrigin': 'AWS_KMS',
      ...(alias === undefined ? {} : { 'kms:RequestAlias': alias }),
      ...(operation === 'Sign'
        ? { 'kms:SigningAlgorithm': text(input, 'SigningAlgorithm'), 'kms:MessageType': messageType(input) }
        : {}),
      ...(operation === 'GenerateMac' || operation === 'VerifyMac'
        ? { 'kms:MacAlgorithm': text(input, 'MacAlgorithm') }
        : {}),
    };
    await authoriser.require(
      call.caller,
      [{ action: `kms:${operation}`, resource: key.spec.arn, context }],
      accessDeniedException,
    );
    return jsonAnswer('1.1', { KeyId: key.spec.arn, ...run(operation, key, input, accountId) });
  }

  return { handle, failure: jsonFailure('1.1') };
}

function run(
  operation: Operation,
  key: LocalKey,
  input: Record<string, unknown>,
  accountId: string,
): Record<string, unknown> {
  const wrongUse = (algorithm: string) =>
    new AwsError(
      'InvalidKeyUsageException',
      `${algorithm} does not go with ${key.spec.keySpec} key ${key.spec.arn}.`,
    );
  switch (operation) {
    case 'Sign': {
      const algorithm = text(input, 'SigningAlgorithm');
      if (algorithm !== 'ECDSA_SHA_256' || !key.signMessage || !key.signDigest) throw wrongUse(algorithm);
      const message = blob(input, 'Message');
      const isDigest = messageType(input) === 'DIGEST';
      if (isDigest && message.length !== 32) {
        throw new AwsError('ValidationException', `Digest is invalid length for algorithm ${algorithm}.`);
      }
      const signature = isDigest ? key.signDigest(message) : key.signMessage(message);
      return { Signature: signature.toString('base64'), SigningAlgorithm: algorithm };
    }
    case 'GetPublicKey': {
      if (!key.publicKey)
        throw new AwsError('UnsupportedOperationException', `${key.spec.arn} has no public key.`);
      return {
        PublicKey: key.publicKey.toString('base64'),
        KeySpec: key.spec.keySpec,
        CustomerMasterKeySpec: key.spec.keySpec,
        KeyUsage: key.spec.usage,
        SigningAlgorithms: ['ECDSA_SHA_256'],
      };
    }
    case 'GenerateMac':
    case 'VerifyMac': {
      const algorithm = text(input, 'MacAlgorithm');
      if (algorithm !== 'HMAC_SHA_256' || !key.mac) throw wrongUse(algorithm);
      const mac = key.mac(blob(input, 'Message'));
      if (operation === 'GenerateMac') return { Mac: mac.toString('base64'), MacAlgorithm: algorithm };
      const given = blob(input, 'Mac');
      if (given.length !== mac.length || !timingSafeEqual(given, mac))
        throw new AwsError('KMSInvalidMacException', 'The MAC does not match.');
      return { MacValid: true, MacAlgorithm: algorithm };
    }
    case 'DescribeKey':
      return {
        KeyMetadata: {
          AWSAccountId: accountId,
          Arn: key.spec.arn,
          KeyId: key.spec.keyId,
          CreationDate: key.createdAt / 1000,
          Description: key.spec.description ?? '',
          Enabled: true,
          KeyState: 'Enabled',
          KeyManager: 'CUSTOMER',
          KeySpec: key.spec.keySpec,
          CustomerMasterKeySpec: key.spec.keySpec,
          KeyUsage: key.spec.usage,
          Origin: 'AWS_KMS',
          MultiRegion: key.spec.keyId.startsWith('mrk-'),
          ...(key.publicKey ? { SigningAlgorithms: ['ECDSA_SHA_256'] } : { MacAlgorithms: ['HMAC_SHA_256'] }),
        },
      };
  }
}

const isServed = (operation: string): operation is Operation =>
  (served as readonly string[]).includes(operation);

function text(input: Record<string, unknown>, name: string): string {
  const value = input[name];
  if (typeof value !== 'string' || value === '')
    throw new AwsError('ValidationException', `${name} must be a non-empty string.`);
  return value;
}

function blob(input: Record<string, unknown>, name: string): Buffer {
  const bytes = Buffer.from(text(input, name), 'base64');
  if (bytes.length < 1 || bytes.length > maxMessageBytes) {
    throw new AwsError('ValidationException', `${name} must be 1 to ${maxMessageBytes} bytes long.`);
  }
  return bytes;
}

function messageType(input: Record<string, unknown>): 'RAW' | 'DIGEST' {
  const type = input.MessageType ?? 'RAW';
  if (type !== 'RAW' && type !== 'DIGEST')
    throw new AwsError('ValidationException', 'MessageType must be RAW or DIGEST here.');
  return type;
}
