import { defineConfig } from '@playwright/test';

// Two at a time: they mostly wait for the next frame. Not more: they measure periods, and each runs a
// detector on the CPU.
export default defineConfig({
  testDir: '.',
  testMatch: '*.spec.mjs',
  globalSetup: './make_media.mjs',
  outputDir: 'test-results',
  fullyParallel: true,
  workers: 2,
  retries: 0,
  timeout: 90_000,
  expect: { timeout: 10_000 },
  reporter: [['list']],
});
