import eslint from '@eslint/js';
import tseslint from 'typescript-eslint';

/** Arrows point one way (ARCHITECTURE.md): what each room must not import. */
const forbids = (files, group, message, allowTypeImports = false) => ({
  files,
  rules: {
    '@typescript-eslint/no-restricted-imports': [
      'error',
      { patterns: [{ group, message, allowTypeImports }] },
    ],
  },
});

const roles = [
  'admission',
  'authorizer',
  'certificates',
  'image-scan',
  'install-assets',
  'operator',
  'registration',
  'release-mirror',
];

export default tseslint.config(
  { ignores: ['cdk.out/', 'build/', '.local/', 'coverage/', 'node_modules/'] },
  eslint.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['*.js'] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/consistent-type-definitions': 'off',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/prefer-nullish-coalescing': ['error', { ignorePrimitives: { string: true } }],
      eqeqeq: 'error',
    },
  },
  forbids(
    ['core/**'],
    ['**/functions/**', '**/tunnel-fargate/**', '**/lib/**', '**/local/**', '**/test/**'],
    'core is at the bottom: it imports nothing of the rooms above it.',
  ),
  forbids(
    ['tunnel-fargate/**'],
    ['**/functions/**', '**/lib/**', '**/local/**', '**/test/**'],
    'tunnel-fargate imports core only.',
  ),
  forbids(
    ['admission-webhook/**'],
    ['**/functions/**', '**/tunnel-fargate/**', '**/lib/**', '**/local/**', '**/test/**'],
    'admission-webhook imports core only.',
  ),
  forbids(
    ['tunnel-fargate/yamux/**'],
    [
      '**/core/**',
      '../agent/**',
      '../access/**',
      '../ingest/**',
      '../directory/**',
      'node:tls',
      'node:net',
      'node:http*',
      '@aws-sdk/**',
    ],
    'yamux knows nothing of TLS, AWS or Calico.',
  ),
  ...roles.map((role) =>
    forbids(
      [`functions/${role}/**`],
      [
        '**/lib/**',
        '**/local/**',
        '**/tunnel-fargate/**',
        '**/test/**',
        // Folders of core may bear a role's name.
        ...roles
          .filter((other) => other !== role)
          .flatMap((other) => [`../${other}/**`, `../../${other}/**`]),
      ],
      'A function imports its own folder and core.',
    ),
  ),
  forbids(
    ['cli/**'],
    ['**/functions/**', '**/tunnel-fargate/**', '**/lib/**', '**/local/**', '**/test/**'],
    'The command line knows the API and core only.',
  ),
  forbids(
    ['lib/**', 'bin/**'],
    ['**/local/**', '**/test/**', '**/tunnel-fargate/**', '**/functions/**'],
    'lib describes what is deployed; it sees only the types of what runs.',
    true,
  ),
  {
    files: ['core/**', 'functions/**', 'tunnel-fargate/**', 'admission-webhook/**'],
    ignores: ['**/*-repository.ts', 'core/tenant/**', 'core/aws/**'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: ['@aws-sdk/client-dynamodb', '@aws-sdk/lib-dynamodb', '@aws-sdk/client-s3'].map((name) => ({
            name,
            message: 'Only *-repository.ts files speak DynamoDB or S3.',
          })),
        },
      ],
    },
  },
  { files: ['**/*.js'], ...tseslint.configs.disableTypeChecked },
  {
    files: ['local/preflight.js'],
    languageOptions: { globals: { console: 'readonly', process: 'readonly', URL: 'readonly' } },
  },
);
