import { patience } from '../../core/aws/patience.ts';
import { catalogue } from '../../core/release/catalogue.ts';
import { manifestRepository } from '../../core/release/manifest-repository.ts';
import type { Environment } from './env.ts';
import type { mirrorReleases } from './mirror-releases.ts';
import { upstream } from './upstream.ts';

/** Every effect that this function has outside itself, and what it is about. */
export type Dependencies = Parameters<typeof mirrorReleases>[0];

export const dependencies = (env: Environment): Dependencies => ({
  releases: catalogue().releases,
  mirror: manifestRepository(env.ASSETS_BUCKET, patience.objects),
  source: upstream(),
});
