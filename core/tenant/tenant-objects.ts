import { S3Client } from '@aws-sdk/client-s3';
import { patience } from '../aws/patience.ts';
import {
  type TenantAccess,
  type TenantClients,
  type TenantCredentials,
  tenantTables,
} from './tenant-access.ts';

/** Clients of one tenant for its items and its objects. */
export type TenantObjectClients = TenantClients & { readonly s3: S3Client };
export type TenantObjectAccess = TenantAccess<TenantObjectClients>;

export const tenantObjects = (credentials: TenantCredentials): TenantObjectClients => ({
  ...tenantTables(credentials),
  s3: new S3Client({ credentials, requestHandler: patience.objects }),
});
