/** The schemas of Calico's custom resources, judged as a real API server does when kubectl asks it to be strict. */
import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';

type Schema = {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly [member: string]: unknown;
};

/** Members that a schema with properties does not name are refused, unless it asks to keep them. */
function strict(schema: Schema): Schema {
  const { properties, items } = schema;
  const keeps = schema['x-kubernetes-preserve-unknown-fields'] === true;
  return {
    ...schema,
    ...(items ? { items: strict(items) } : {}),
    ...(properties
      ? {
          properties: Object.fromEntries(
            Object.entries(properties).map(([name, each]) => [name, strict(each)] as const),
          ),
        }
      : {}),
    ...(properties && !keeps ? { additionalProperties: false } : {}),
  };
}

/**
 * Whether an object fits a CRD of Calico `version` (`v3.32.1`): true, or what is wrong with it. CEL rules
 * (`x-kubernetes-validations`) are not judged here; test/kube has a real API server do that.
 */
export function crd(
  kind: 'managementclusterconnection' | 'installation',
  version: string,
): (object: unknown) => unknown {
  const file = new URL(`../../fixtures/calico/${kind}-${version}.json`, import.meta.url);
  const schema = strict(JSON.parse(readFileSync(file, 'utf8')) as Schema);
  const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema);
  return (object) => validate(object) || validate.errors;
}
