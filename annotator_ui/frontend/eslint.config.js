import reactHooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

const inwards = (patterns, message) => ({
  "no-restricted-imports": ["error", { patterns: [{ group: patterns, message }] }],
});

export default tseslint.config(
  { ignores: ["dist", "public", "node_modules", "src/api/schema.gen.ts"] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname },
    },
  },
  {
    files: ["**/*.ts", "**/*.tsx"],
    rules: {
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "max-lines": ["error", 400],
      "max-lines-per-function": ["error", { max: 60, skipBlankLines: true, skipComments: true }],
    },
  },
  {
    files: ["src/view/**/*.tsx"],
    plugins: { "react-hooks": reactHooks },
    rules: reactHooks.configs.recommended.rules,
  },
  {
    files: ["src/core/**/*.ts"],
    rules: inwards(
      ["react*", "onnx*", "**/view/**", "**/decoder/**", "**/api/**"],
      "The core imports only itself.",
    ),
  },
  {
    files: ["src/decoder/**/*.ts", "src/api/**/*.ts"],
    rules: inwards(["react*", "**/view/**"], "decoder and api import only the core."),
  },
  {
    files: ["src/pages/**/*.ts"],
    rules: inwards(
      ["react*", "onnx*", "**/view/**", "**/decoder/**"],
      "Leads' pages load without the labelling page.",
    ),
  },
  {
    files: ["**/*.test.ts", "**/*.test.tsx"],
    rules: {
      "max-lines-per-function": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
    },
  },
  { files: ["**/*.js", "**/*.mjs"], ...tseslint.configs.disableTypeChecked },
);
