import js from '@eslint/js';
import globals from 'globals';

const rules = {
  eqeqeq: 'error',
  'no-var': 'error',
  'prefer-const': 'error',
  'object-shorthand': 'error',
  'no-else-return': 'error',
  'no-console': 'error',
};

export default [
  { ignores: ['**/node_modules/**', '**/vendor/**', '**/media/**', '**/test-results/**'] },
  js.configs.recommended,
  {
    files: ['**/web/js/**/*.js'],
    languageOptions: { globals: { ...globals.browser, ...globals.worker } },
    rules,
  },
  {
    // Tests run in Node; the functions they hand to page.evaluate() run in the browser.
    files: ['**/*.mjs'],
    languageOptions: { globals: { ...globals.node, ...globals.browser } },
    rules: { ...rules, 'no-console': 'off' },
  },
];
