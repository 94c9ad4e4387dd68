import { defineConfig } from '@playwright/test';

// One at a time: the tests measure periods, and each runs a detector on the CPU.
export default defineConfig({
  testDir: '.',
  testMatch: '*.spec.mjs',
  globalSetup: './make_media.mjs',
  outputDir: 'test-results',
  fullyParallel: true,
  workers: 2,
  retries: 0,
  timeout: 45_000,
  reporter: [['list']],
});
