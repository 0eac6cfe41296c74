import react from "@vitejs/plugin-react";
import { defaultClientConditions } from "vite";
import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "/static/ui/",
  plugins: [react()],
  // The .wasm ships once, from public/ort: without this condition the bundler emits a second copy.
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions] },
  worker: { format: "es" },
  build: {
    outDir: "dist",
    // The default (.vite/manifest.json) sits in a dot folder, which collectstatic skips.
    manifest: "manifest.json",
    // A data: URL would be refused by the page's content security policy.
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: ["src/main.tsx", "src/pages/projectPage.ts", "src/pages/jobsPage.ts"],
    },
  },
  test: {
    environment: "node",
    include: ["src/**/*.test.{ts,tsx}"],
    restoreMocks: true,
  },
});
