import * as z from 'zod';
import { roles } from '../credential/scope.ts';
import { clusterIdPattern } from '../tenant/identifier.ts';
import { connectingSubresources, verbs } from './kubernetes-verbs.ts';

/** Rules of one tenant; all of them are read at once when a request is judged. */
export const maxAccessRules = 200;

/** Of a rule's JSON: what a tenant's rules may take of memory, and of read units, is this times their number. */
export const maxAccessRuleBytes = 2_048;

/** RFC 1035 and 1123 in Kubernetes' reading, lower case: another case is another name there, and matches nothing. */
const label = '[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?';
const subdomain = `${label}(?:\\.${label})*`;

const subject = z
  .string()
  .max(300)
  .regex(new RegExp(`^(?:user:[\\x21-\\x7e]+|api-key:[a-z2-7]+|role:(?:${roles.join('|')}))$`), {
    error: `must be user:<subject>, api-key:<keyId> or role:<${roles.join('|')}>`,
  });
const cluster = z
  .string()
  .refine((text) => text === '*' || clusterIdPattern.test(text), { error: 'must be a cluster ID or *' });
const namespace = z.string().regex(new RegExp(`^(?:\\*|${label})?$`), {
  error: 'must be the name of a namespace, * for all, or empty for what is in none',
});
const apiGroup = z
  .string()
  .max(253)
  .regex(new RegExp(`^(?:\\*|${subdomain})?$`), {
    error: 'must be an API group, * for all, or empty for the core group',
  });
const resource = z
  .string()
  .max(253)
  // Calico's tiers are resources with a dot: tier.networkpolicies.
  .regex(new RegExp(`^(?:\\*|${subdomain})(?:/${subdomain})?$`), {
    error: 'must be a resource (pods), a subresource (pods/log, */scale) or * for all, in lower case',
  });
/** Without the characters that make a field selector of several names, or of none. */
const resourceName = z
  .string()
  .regex(/^[A-Za-z0-9](?:[-._:@A-Za-z0-9]{0,251}[A-Za-z0-9])?$/, { error: 'must be the name of one object' });

const several = <Item extends z.ZodType>(item: Item) => z.array(item).min(1).max(32);

const parts = {
  subjects: several(subject).meta({
    description: 'who: user:<subject>, api-key:<keyId>, role:<role>',
    example: ['user:jane@example.com', 'role:member'],
  }),
  clusters: several(cluster).meta({ description: 'cluster IDs, or *' }),
  namespaces: several(namespace).meta({
    description:
      'names; "*": all, and what is in none; "": requests that name none: cluster-scoped objects and lists across namespaces',
    example: ['shop'],
  }),
  apiGroups: several(apiGroup).meta({ description: '"" is the core group', example: ['', 'apps'] }),
  resources: several(resource).meta({
    description: '"*": all with their subresources; "pods" without its subresources; "pods/log"; "*/scale"',
    example: ['pods', 'pods/log'],
  }),
  resourceNames: several(resourceName).optional().meta({
    description:
      'only these objects: never create, deletecollection, or a list that does not select one of them',
  }),
  verbs: several(z.enum([...verbs, '*'])).meta({
    description: 'connect: exec, attach, portforward and proxy, whatever the method',
    example: ['get', 'list', 'watch'],
  }),
  description: z.string().max(200).optional().meta({ description: 'for people' }),
};

/** What somebody may do, in addition to their role: as in Kubernetes' RBAC there is no rule that forbids. */
export const accessRuleRequest = z
  .strictObject(parts)
  .superRefine(({ resources, verbs: given, resourceNames }, context) => {
    const refuse = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    const connects = given.some((verb) => verb === 'connect' || verb === '*');
    const inVain = resources.find((name) => connectingSubresources.has(name.split('/')[1] ?? ''));
    if (inVain !== undefined && !connects) refuse('verbs', `${inVain} is reached by the verb connect only`);
    const nameless: ReadonlySet<string> = new Set(['deletecollection', 'create']);
    if (
      resourceNames &&
      given.every((verb) => nameless.has(verb)) &&
      resources.every((name) => !name.includes('/'))
    ) {
      refuse('resourceNames', `${given.join(' and ')} name no object`);
    }
  })
  .refine((rule) => Buffer.byteLength(JSON.stringify(rule)) <= maxAccessRuleBytes, {
    error: `is larger than ${maxAccessRuleBytes} bytes`,
  })
  .meta({ id: 'AccessRuleRequest' });
export type AccessRuleRequest = z.infer<typeof accessRuleRequest>;

export const accessRuleId = z.string().regex(/^[a-z2-7]{16}$/);

export const accessRule = z
  .object({ ruleId: accessRuleId, ...parts, createdAt: z.iso.datetime(), createdBy: z.string() })
  .meta({ id: 'AccessRule' });
export type AccessRuleView = z.infer<typeof accessRule>;
