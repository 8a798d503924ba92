import type { Release } from '../../core/release/release-schema.ts';
import { v3307 } from './releases/v3.30.7.ts';
import { v3317 } from './releases/v3.31.7.ts';
import { v3321 } from './releases/v3.32.1.ts';

/** Calico versions on offer, the default first. One file each: a new version is a new file and a line here. */
export const releases: readonly Release[] = [v3321, v3317, v3307];
