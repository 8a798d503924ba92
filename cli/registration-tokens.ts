import { registrationTokenIssued } from '../core/credential/registration-token-schema.ts';
import type { ApiClient } from './api-client.ts';
import { secondsOf } from './time-span.ts';

type NewToken = { readonly clusterName?: string; readonly ttl?: string };

/** A token that registers one cluster, once; with a name, only one of that name. */
export const createRegistrationToken = (api: ApiClient, { clusterName, ttl }: NewToken) =>
  api.post(registrationTokenIssued, '/v1/registration-tokens', {
    ...(clusterName === undefined ? {} : { clusterName }),
    ...(ttl === undefined ? {} : { ttlSeconds: secondsOf(ttl) }),
  });
