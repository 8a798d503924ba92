import type { Dependencies } from '../../../functions/image-scan/deps.ts';

const unasked = () => Promise.reject(new Error('Nobody uploads here.'));

/** For tests of what has nothing to do with uploads: whoever asks for one fails. */
export const noUploads: Pick<Dependencies, 'uploads' | 'uploaded' | 'uploadFollowers' | 'wait'> = {
  uploads: { create: unasked, find: unasked, claim: unasked, release: unasked, finish: unasked },
  uploaded: { presign: unasked, read: unasked },
  uploadFollowers: { enter: unasked, leave: unasked },
  wait: unasked,
};
