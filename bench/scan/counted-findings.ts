import type { ScanUpload } from '../../core/image/scan-upload-schema.ts';

/** How many findings an answer counts, of all images and severities. */
export function countedIn(result: NonNullable<ScanUpload['result']>): number {
  const images = 'items' in result ? result.items : 'counts' in result ? [result] : [];
  return images.flatMap(({ counts }) => Object.values(counts)).reduce((sum, count) => sum + count, 0);
}
