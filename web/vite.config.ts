import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Writes a .br beside every text file; the server sends it to browsers that take it. */
function brotli(): Plugin {
  return {
    name: "brotli",
    apply: "build",
    closeBundle() {
      const root = join(import.meta.dirname, "dist");
      for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(js|css|html|svg|json)$/.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const quality = { [constants.BROTLI_PARAM_QUALITY]: 11 };
        writeFileSync(`${path}.br`, brotliCompressSync(readFileSync(path), { params: quality }));
      }
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [react(), brotli()],
  build: {
    target: "es2022",
    chunkSizeWarningLimit: 800,
    reportCompressedSize: false,
    rolldownOptions: { input: ["index.html", "app.html"] },
  },
  server: { fs: { allow: [".."] }, proxy: { "/api": { target: "http://127.0.0.1:8188", ws: true } } },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
