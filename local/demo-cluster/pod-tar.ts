import { absolute, FileError, type PodFiles } from './pod-files.ts';
import { readTar, type TarEntry, writeTar } from './tar-archive.ts';

type Wanted = { mode: 'c' | 'x'; folder: string; paths: string[] };

/** The flags that `kubectl cp` uses, old style (`xmf -`) and new. @throws FileError for others */
function wantedOf(given: readonly string[]): Wanted {
  let mode: Wanted['mode'] | undefined;
  let folder = '/';
  let archive: string | undefined;
  const paths: string[] = [];
  for (let at = 0; at < given.length; at += 1) {
    const word = given[at] ?? '';
    if (word === '-C') folder = given[(at += 1)] ?? '/';
    else if (word.startsWith('--no-same-')) continue;
    else if (at === 0 || (word.startsWith('-') && word !== '-')) {
      for (const letter of word.replace(/^-/, '')) {
        if (letter === 'c' || letter === 'x') mode = letter;
        else if (letter === 'f') archive = given[(at += 1)] ?? '';
        else if (!'mvpo'.includes(letter)) throw new FileError(`unknown flag ${word}`);
      }
    } else paths.push(word);
  }
  if (!mode || archive !== '-')
    throw new FileError('only "tar cf - PATH…" and "tar xf - [-C FOLDER]" are known');
  return { mode, folder, paths };
}

/** `tar` of a demo pod. `input`: read only when it is asked for. Resolves with what goes to standard output. @throws FileError */
export async function tar(
  files: PodFiles,
  given: readonly string[],
  input: () => Promise<Buffer>,
): Promise<Buffer | undefined> {
  const { mode, folder, paths } = wantedOf(given);
  if (mode === 'c') return writeTar(paths.flatMap((path) => entriesOf(files, folder, path)));
  for (const entry of archiveOf(await input())) {
    const place = absolute(`${folder}/${entry.path}`);
    if (entry.folder) files.makeFolder(place);
    else {
      files.makeFolder(place.slice(0, place.lastIndexOf('/')) || '/');
      files.write(place, Buffer.from(entry.bytes), entry);
    }
  }
  return undefined;
}

function archiveOf(bytes: Buffer): TarEntry[] {
  try {
    return readTar(bytes);
  } catch (error) {
    throw new FileError(error instanceof Error ? error.message : 'no archive');
  }
}

/** As tar stores them: without the slash at the front. @throws FileError */
function entriesOf(files: PodFiles, folder: string, path: string): TarEntry[] {
  const place = absolute(path.startsWith('/') ? path : `${folder}/${path}`);
  if (!files.isFile(place) && !files.isFolder(place)) {
    throw new FileError(`${path}: no such file or directory`);
  }
  const entries = files.filesBelow(place).map((file): TarEntry => {
    const { bytes, mode, modified } = files.read(file);
    return { path: file.slice(1), bytes, mode, modified, folder: false };
  });
  if (!files.isFolder(place)) return entries;
  const own = { path: place.slice(1) || '.', bytes: Buffer.alloc(0), mode: 0o755, modified: new Date(0) };
  return [{ ...own, folder: true }, ...entries];
}
