/** What a credential may do. A route names the scopes of which one is enough (core/api/route-table.ts). */
export const scopes = [
  'clusters:read',
  'clusters:install',
  'clusters:disconnect',
  'clusters:access',
  'clusters:change',
  'access-rules:manage',
  'registration-tokens:manage',
  'api-keys:manage',
  'registration:use',
  'cluster:report',
  'images:read',
  'image-policy:write',
  'scans:write',
  'admission:review',
] as const;
export type Scope = (typeof scopes)[number];

export const roles = ['member', 'viewer', 'editor', 'admin', 'owner'] as const;
export type Role = (typeof roles)[number];

/** Discovery in clusters comes with `clusters:read`; everything else in them by rules of the tenant only. */
const member: readonly Scope[] = ['clusters:read'];
const viewer: readonly Scope[] = [...member, 'clusters:access', 'images:read'];
const editor: readonly Scope[] = [...viewer, 'clusters:change', 'scans:write'];
const admin: readonly Scope[] = [
  ...editor,
  'clusters:install',
  'clusters:disconnect',
  'access-rules:manage',
  'registration-tokens:manage',
  'api-keys:manage',
  'image-policy:write',
  'admission:review',
];

/** The scopes of each role of a tenant's members. */
export const roleScopes: Readonly<Record<Role, readonly Scope[]>> = {
  member,
  viewer,
  editor,
  admin,
  owner: admin,
};

const known: ReadonlySet<string> = new Set(scopes);

/** Reads the space-separated form (authorizer contexts hold no arrays); unknown words give nothing. */
export const parseScopes = (text: string): ReadonlySet<Scope> =>
  new Set(text.split(' ').filter((word): word is Scope => known.has(word)));
