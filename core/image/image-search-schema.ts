import * as z from 'zod';
import { page, pageQuery } from '../api/page.ts';
import { imageFinding } from './image-finding-schema.ts';
import { imageGlobText } from './image-glob.ts';
import { digest, image, severities, type Severity, verdict } from './image-schema.ts';

const severityList = z
  .string()
  .regex(new RegExp(`^(?:${severities.join('|')})(?:,(?:${severities.join('|')}))*$`), {
    error: `must be one of ${severities.join(', ')}, or several with commas between`,
  })
  .transform((text) => [...new Set(text.split(','))] as Severity[]);

/**
 * What images are looked for; they have to have all of it. `vulnerability`, `severity` and `fixable` are about one finding:
 * the image has one with all that is asked of these three.
 */
export const imagesFilter = z.object({
  verdict: verdict.optional().meta({ description: 'of this moment' }),
  severity: severityList.optional().meta({
    description: 'of a finding that counts now; several with commas between',
    example: 'critical,high',
  }),
  vulnerability: z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/, { error: 'must be a name such as CVE-2019-14697' })
    .optional()
    .meta({
      description:
        'name or alias of a finding, in any case; without severity and fixable of one that does not count, too',
      example: 'CVE-2019-14697',
    }),
  fixable: z
    .enum(['true', 'false'])
    .optional()
    .meta({ description: 'whether there is a version without it, of a finding that counts now' }),
  repository: imageGlobText.optional().meta({
    description: '<registry>/<repository>, with the stars of policies',
    example: 'registry.example/shop/*',
  }),
  cluster: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .meta({ description: 'ID of a cluster in which it runs, as uploads with ?cluster= have said' }),
});
export type ImagesFilter = z.infer<typeof imagesFilter>;

export const imageListQuery = pageQuery.extend(imagesFilter.shape);

/** A finding as lists and exports have it: without its scores by source, which `/findings` shows. */
export const foundFinding = imageFinding.omit({ cvss: true }).meta({ id: 'FoundFinding' });
export type FoundFinding = z.infer<typeof foundFinding>;

export const listedImage = image
  .extend({
    matching: z
      .object({
        total: z.int().meta({
          description: 'how many findings, of all scanners; of images with more than 10,000 at least so many',
        }),
        findings: z.array(foundFinding).meta({ description: 'at most 3' }),
      })
      .optional()
      .meta({ description: 'the findings that were asked for, by vulnerability, severity or fixable' }),
  })
  .meta({ id: 'ListedImage' });
export type ListedImage = z.infer<typeof listedImage>;

export const imagesPage = page(listedImage).meta({
  id: 'Images',
  description: 'in the order of their digests; a page may be short, or empty, and have a next one',
});

export const exportFormats = ['csv', 'json', 'cyclonedx-vex'] as const;
export type ExportFormat = (typeof exportFormats)[number];

export const imageExportQuery = imagesFilter.extend({
  format: z.enum(exportFormats).default('csv'),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(200)
    .default(200)
    .meta({ description: 'images of one page; of cyclonedx-vex always 1' }),
  cursor: z.string().max(2_048).optional(),
});
export type ImageExportQuery = z.infer<typeof imageExportQuery>;

export const exportRow = z
  .object({
    image: z.string().optional().meta({ description: 'reference under which it was scanned last' }),
    digest,
    verdict: verdict.meta({ description: "the image's" }),
    clusters: z.array(z.string()).meta({ description: 'IDs of the clusters in which it runs' }),
    scannedAt: z.iso.datetime().meta({ description: 'of the scan that found it; else of the latest' }),
    finding: foundFinding.optional().meta({ description: 'absent: the image has none' }),
  })
  .meta({ id: 'ImageExportRow' });
export type ExportRow = z.infer<typeof exportRow>;
