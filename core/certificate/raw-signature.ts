/** Two DER integers (each at most 33 bytes: short lengths) as WebCrypto has them: r and s, 32 bytes each. */
export function rawSignature(der: Uint8Array): ArrayBuffer {
  const raw = new Uint8Array(64);
  let at = 2;
  for (const end of [32, 64]) {
    const length = der[at + 1] ?? 0;
    const integer = der.subarray(at + 2, at + 2 + length);
    const digits = integer[0] === 0 ? integer.subarray(1) : integer;
    if (der[at] !== 2 || digits.length === 0 || digits.length > 32)
      throw new Error('not an ECDSA P-256 signature');
    raw.set(digits, end - digits.length);
    at += 2 + length;
  }
  return raw.buffer;
}
