import type { Assembly, Resource } from './assembly.ts';

/** What the laptop says it is, where a template asks for AWS's pseudo parameters. */
export const laptop = {
  region: 'us-east-1',
  accountId: '000000000000',
  partition: 'aws',
  urlSuffix: 'amazonaws.com',
} as const;

/** Name, ARN or attribute of a resource, as CloudFormation would give them after a deployment. */
export type PhysicalNames = {
  ref(resource: Resource): string;
  attribute(resource: Resource, name: string): string;
};

export type Resolver = {
  /** The value with every intrinsic function replaced; throws on one that it does not know. */
  readonly resolve: (stack: string, value: unknown) => unknown;
  /** As `resolve`, for what must be text. */
  readonly text: (stack: string, value: unknown) => string;
};

const pseudo: Readonly<Record<string, string>> = {
  'AWS::Region': laptop.region,
  'AWS::AccountId': laptop.accountId,
  'AWS::Partition': laptop.partition,
  'AWS::URLSuffix': laptop.urlSuffix,
};

/** Evaluates the intrinsic functions that a CDK template uses, across the stacks of one assembly. */
export function resolver(assembly: Assembly, names: PhysicalNames): Resolver {
  const resources = new Map(
    assembly.resources.map((resource) => [`${resource.stack}/${resource.logicalId}`, resource]),
  );

  const functions: Readonly<Record<string, (stack: string, argument: unknown) => unknown>> = {
    Ref: (stack, name) => reference(stack, String(name)),
    'Fn::GetAtt': (stack, argument) => {
      const [logicalId = '', ...rest] = Array.isArray(argument)
        ? argument.map(String)
        : String(argument).split('.');
      return names.attribute(resourceOf(stack, logicalId), rest.join('.'));
    },
    'Fn::Join': (stack, argument) => {
      const [separator, parts] = resolve(stack, argument) as [string, unknown[]];
      return parts.map(String).join(separator);
    },
    'Fn::Sub': (stack, argument) => substitute(stack, argument),
    'Fn::ImportValue': (stack, argument) => importValue(text(stack, argument)),
    'Fn::Select': (stack, argument) => {
      const [index, list] = resolve(stack, argument) as [string | number, unknown[]];
      return list[Number(index)];
    },
    'Fn::Split': (stack, argument) => {
      const [separator, source] = resolve(stack, argument) as [string, string];
      return source.split(separator);
    },
    'Fn::GetAZs': () => [`${laptop.region}a`, `${laptop.region}b`],
  };

  function resolve(stack: string, value: unknown): unknown {
    if (Array.isArray(value)) {
      return value.map((item) => resolve(stack, item)).filter((item) => item !== undefined);
    }
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value);
    const [key, argument] = entries[0] ?? [];
    if (entries.length === 1 && key !== undefined && (key === 'Ref' || key.startsWith('Fn::'))) {
      const evaluate = functions[key];
      if (!evaluate) throw new Error(`The laptop stack does not know ${key}.`);
      return evaluate(stack, argument);
    }
    return Object.fromEntries(
      entries.map(([name, item]) => [name, resolve(stack, item)]).filter(([, item]) => item !== undefined),
    );
  }

  function text(stack: string, value: unknown): string {
    const resolved = resolve(stack, value);
    if (typeof resolved === 'string') return resolved;
    if (typeof resolved === 'number' || typeof resolved === 'boolean') return String(resolved);
    throw new Error(`Expected text, found ${JSON.stringify(value)}.`);
  }

  function reference(stack: string, name: string): unknown {
    if (name === 'AWS::NoValue') return undefined;
    if (name === 'AWS::StackName') return stack;
    if (name === 'AWS::StackId')
      return `arn:aws:cloudformation:${laptop.region}:${laptop.accountId}:stack/${stack}/laptop`;
    const parameter = assembly.parameters[name];
    return (
      pseudo[name] ??
      (parameter && !resources.has(`${stack}/${name}`)
        ? parameter.Default
        : names.ref(resourceOf(stack, name)))
    );
  }

  function substitute(stack: string, argument: unknown): string {
    const [template, variables] = (Array.isArray(argument) ? argument : [argument, {}]) as [
      string,
      Record<string, unknown>,
    ];
    return template.replaceAll(/\$\{(!?)([^}]+)\}/g, (_match, literal: string, name: string) => {
      if (literal) return `\${${name}}`;
      if (name in variables) return text(stack, variables[name]);
      const [logicalId = '', ...attribute] = name.split('.');
      return attribute.length > 0
        ? names.attribute(resourceOf(stack, logicalId), attribute.join('.'))
        : String(reference(stack, name));
    });
  }

  function importValue(name: string): unknown {
    const output = assembly.outputs.find(
      ({ stack, exportName }) => exportName !== undefined && text(stack, exportName) === name,
    );
    if (!output) throw new Error(`No stack exports ${name}.`);
    return resolve(output.stack, output.value);
  }

  function resourceOf(stack: string, logicalId: string): Resource {
    const resource = resources.get(`${stack}/${logicalId}`);
    if (!resource) throw new Error(`${stack} has no resource ${logicalId}.`);
    return resource;
  }

  return { resolve, text };
}
