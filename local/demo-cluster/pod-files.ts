/** A file of a demo pod. */
export type PodFile = { readonly bytes: Buffer; readonly mode: number; readonly modified: Date };

/** What a command of a pod says when a file operation fails; its message is for standard error. */
export class FileError extends Error {
  override readonly name = 'FileError';
}

const roots = ['/', '/app', '/etc', '/tmp'];

/** An absolute path without dots; a relative one begins at `/`, where every demo container starts. */
export function absolute(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  return `/${kept.join('/')}`;
}

const parentOf = (path: string) => absolute(path.slice(0, path.lastIndexOf('/')));

/** The files of one demo container: in memory, gone with the pod, 16 MiB at most. */
export class PodFiles {
  readonly #files = new Map<string, PodFile>();
  readonly #folders = new Set(roots);
  readonly #limit: number;
  #bytes = 0;

  constructor(given: Readonly<Record<string, string>> = {}, limit = 16 * 1024 * 1024) {
    this.#limit = limit;
    for (const [path, text] of Object.entries(given)) this.write(path, Buffer.from(text));
  }

  /** @throws FileError */
  read(path: string): PodFile {
    const file = this.#files.get(absolute(path));
    if (file) return file;
    throw new FileError(`${path}: ${this.isFolder(path) ? 'is a directory' : 'no such file or directory'}`);
  }

  isFile(path: string): boolean {
    return this.#files.has(absolute(path));
  }

  isFolder(path: string): boolean {
    return this.#folders.has(absolute(path));
  }

  /** @throws FileError where the folder is not there, or the space is used up */
  write(path: string, bytes: Buffer, { mode = 0o644, modified = new Date() } = {}): void {
    const place = absolute(path);
    if (this.isFolder(place)) throw new FileError(`${path}: is a directory`);
    if (!this.isFolder(parentOf(place))) throw new FileError(`${path}: no such file or directory`);
    const left = this.#bytes - (this.#files.get(place)?.bytes.length ?? 0);
    if (left + bytes.length > this.#limit) throw new FileError(`${path}: no space left on device`);
    this.#bytes = left + bytes.length;
    this.#files.set(place, { bytes, mode, modified });
  }

  /** With the folders above it. @throws FileError where a file is in the way */
  makeFolder(path: string): void {
    const place = absolute(path);
    if (this.isFile(place)) throw new FileError(`${path}: file exists`);
    if (place !== '/') this.makeFolder(parentOf(place));
    if (this.#folders.size >= 10_000) throw new FileError(`${path}: no space left on device`);
    this.#folders.add(place);
  }

  /** A file, or a folder with what is in it. @throws FileError */
  remove(path: string): void {
    const place = absolute(path);
    if (!this.isFile(place) && !this.isFolder(place))
      throw new FileError(`${path}: no such file or directory`);
    if (roots.includes(place)) throw new FileError(`${path}: may not be removed`);
    for (const file of this.filesBelow(place)) {
      this.#bytes -= this.read(file).bytes.length;
      this.#files.delete(file);
    }
    for (const folder of [...this.#folders]) {
      if (folder === place || folder.startsWith(`${place}/`)) this.#folders.delete(folder);
    }
  }

  /** The names in a folder, sorted. @throws FileError */
  list(path: string): string[] {
    const place = absolute(path);
    if (!this.isFolder(place)) throw new FileError(`${path}: no such file or directory`);
    return [...this.#files.keys(), ...this.#folders]
      .filter((entry) => entry !== '/' && parentOf(entry) === place)
      .map((entry) => entry.slice(entry.lastIndexOf('/') + 1))
      .sort();
  }

  /** The file itself, or all files in the folder and below it, sorted; absolute paths. */
  filesBelow(path: string): string[] {
    const place = absolute(path);
    const inside = place === '/' ? '/' : `${place}/`;
    return [...this.#files.keys()].filter((file) => file === place || file.startsWith(inside)).sort();
  }
}
