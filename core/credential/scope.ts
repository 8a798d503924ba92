/** What a credential may do. A route names the scopes of which one is enough (core/api/route-table.ts). */
export const scopes = [
  'clusters:read',
  'clusters:install',
  'clusters:disconnect',
  'clusters:access',
  'clusters:change',
  'registration-tokens:manage',
  'registration:use',
  'cluster:report',
  'images:read',
  'image-policy:write',
  'scans:write',
] as const;
export type Scope = (typeof scopes)[number];

export const roles = ['viewer', 'editor', 'admin', 'owner'] as const;
export type Role = (typeof roles)[number];

const viewer: readonly Scope[] = ['clusters:read', 'clusters:access', 'images:read'];
const editor: readonly Scope[] = [...viewer, 'clusters:change', 'scans:write'];
const admin: readonly Scope[] = [
  ...editor,
  'clusters:install',
  'clusters:disconnect',
  'registration-tokens:manage',
  'image-policy:write',
];

/** The scopes of each role of a tenant's members. */
export const roleScopes: Readonly<Record<Role, readonly Scope[]>> = { viewer, editor, admin, owner: admin };

const known: ReadonlySet<string> = new Set(scopes);

/** Reads the space-separated form (authorizer contexts hold no arrays); unknown words give nothing. */
export const parseScopes = (text: string): ReadonlySet<Scope> =>
  new Set(text.split(' ').filter((word): word is Scope => known.has(word)));
