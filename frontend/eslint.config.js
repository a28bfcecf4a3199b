import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    languageOptions: { globals: globals.browser },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "no-implicit-globals": "error",
      "no-unused-vars": ["error", { args: "all", caughtErrors: "all", ignoreRestSiblings: true }],
      "no-var": "error",
      "prefer-const": "error",
      "max-lines": ["error", 250],
      // Text that people wrote is set as text.
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML", "write"].map((property) => ({
          property,
        })),
      ],
    },
  },
];
