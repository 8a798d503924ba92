type Said = {
  readonly vulnerability?: string;
  readonly aliases?: readonly string[];
  readonly products?: readonly (
    string | { readonly '@id': string; readonly subcomponents: readonly { readonly '@id': string }[] }
  )[];
  readonly status?: 'not_affected' | 'affected' | 'fixed' | 'under_investigation';
  /** RFC 3339. */
  readonly at?: string;
};

/** An OpenVEX document of one author; what is left out is a statement about the package of `scored` findings. */
export const openVex = ({
  author = 'vendor',
  said = [{}],
}: {
  readonly author?: string;
  readonly said?: readonly Said[];
}) => ({
  '@context': 'https://openvex.dev/ns/v0.2.0',
  '@id': 'https://openvex.example/1',
  author,
  timestamp: '2026-10-01T08:00:00Z',
  version: 1,
  statements: said.map((each) => {
    const { vulnerability = 'CVE-2026-1', aliases = [], status = 'not_affected', at } = each;
    const { products = ['pkg:deb/debian/libc6@2.36'] } = each;
    return {
      vulnerability: { name: vulnerability, aliases },
      products: products.map((product) => (typeof product === 'string' ? { '@id': product } : product)),
      status,
      ...(status === 'not_affected' ? { justification: 'vulnerable_code_not_present' } : {}),
      ...(at === undefined ? {} : { timestamp: at }),
    };
  }),
});
