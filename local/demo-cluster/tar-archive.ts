/** An entry of a tar archive (POSIX.1-2008 pax interchange format); folders have no bytes. */
export type TarEntry = {
  readonly path: string;
  readonly bytes: Buffer;
  readonly mode: number;
  readonly modified: Date;
  readonly folder: boolean;
};

const block = 512;
const padded = (size: number) => Math.ceil(size / block) * block;

function textOf(header: Buffer, from: number, length: number): string {
  const field = header.subarray(from, from + length);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end === -1 ? length : end);
}

const octal = (header: Buffer, from: number, length: number): number =>
  Number.parseInt(textOf(header, from, length).trim() || '0', 8);

function checksum(header: Buffer): number {
  let sum = 8 * 0x20;
  header.forEach((byte, place) => (sum += place >= 148 && place < 156 ? 0 : byte));
  return sum;
}

/** `path=…` of pax records (`length key=value\n`), or undefined. */
function paxPath(bytes: Buffer): string | undefined {
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at);
    const length = Number.parseInt(bytes.toString('utf8', at, space), 10);
    if (space === -1 || !(length > 0)) throw new Error('a pax header is damaged');
    const [key, value] = bytes.toString('utf8', space + 1, at + length - 1).split(/=(.*)/s);
    if (key === 'path') return value;
    at += length;
  }
  return undefined;
}

/** The files and folders of an archive; what is neither is passed over. @throws Error for what is no archive */
export function readTar(archive: Buffer): TarEntry[] {
  const entries: TarEntry[] = [];
  let longPath: string | undefined;
  for (let at = 0; at + block <= archive.length;) {
    const header = archive.subarray(at, at + block);
    if (header.every((byte) => byte === 0)) break;
    if (octal(header, 148, 8) !== checksum(header)) throw new Error('this does not look like a tar archive');
    const size = octal(header, 124, 12);
    const bytes = archive.subarray(at + block, at + block + size);
    if (!(size >= 0) || bytes.length < size) throw new Error('unexpected end of archive');
    at += block + padded(size);
    const type = String.fromCharCode(header[156] ?? 0);
    if (type === 'x') longPath = paxPath(bytes) ?? longPath;
    else if (type === 'L') longPath = textOf(bytes, 0, bytes.length);
    else {
      const prefix = textOf(header, 257, 5) === 'ustar' ? textOf(header, 345, 155) : '';
      const path = longPath ?? [prefix, textOf(header, 0, 100)].filter(Boolean).join('/');
      longPath = undefined;
      const modified = new Date(octal(header, 136, 12) * 1000);
      if (type === '5' || type === '0' || type === '\0') {
        entries.push({ path, bytes, mode: octal(header, 100, 8) & 0o777, modified, folder: type === '5' });
      }
    }
  }
  return entries;
}

function headerOf(name: string, size: number, type: string, { mode, modified }: TarEntry): Buffer {
  const header = Buffer.alloc(block);
  const number = (value: number, from: number, length: number) =>
    header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, from, 'latin1');
  header.write(name.slice(0, 100), 0, 100, 'utf8');
  number(mode, 100, 8);
  number(0, 108, 8);
  number(0, 116, 8);
  number(size, 124, 12);
  number(Math.floor(modified.getTime() / 1000), 136, 12);
  header.write(type, 156, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  header.write(`${checksum(header).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

const fill = (bytes: Buffer): Buffer =>
  Buffer.concat([bytes, Buffer.alloc(padded(bytes.length) - bytes.length)]);

/** An archive of these entries; paths that are too long for the old header get one of pax before theirs. */
export function writeTar(entries: readonly TarEntry[]): Buffer {
  const parts = entries.flatMap((entry) => {
    const name = entry.folder ? `${entry.path}/` : entry.path;
    const file = [headerOf(name, entry.bytes.length, entry.folder ? '5' : '0', entry), fill(entry.bytes)];
    if (Buffer.byteLength(name) <= 100) return file;
    const rest = ` path=${name}\n`;
    let length = Buffer.byteLength(rest) + 1;
    while (`${length}`.length + Buffer.byteLength(rest) !== length) length += 1;
    const record = Buffer.from(`${length}${rest}`);
    return [headerOf('pax', record.length, 'x', entry), fill(record), ...file];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}
