/** Jest runs the TypeScript as Node 24 does: types stripped, ES modules, no transform. */
export default {
  testEnvironment: 'node',
  transform: {},
  extensionsToTreatAsEsm: ['.ts'],
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  modulePathIgnorePatterns: ['<rootDir>/cdk.out', '<rootDir>/build', '<rootDir>/.local'],
  testTimeout: 30_000,
  testSequencer: '<rootDir>/test/sequencer.js',
  // Jest leaves a core idle by default: on two that is half of them.
  maxWorkers: '100%',
};
