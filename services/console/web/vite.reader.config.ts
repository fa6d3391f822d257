import { cpSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

const out = "../../link/reader";
const pdfjs = "node_modules/pdfjs-dist";

// What PDF.js fetches when a document needs it: its worker, decoders, character maps, and stand-ins for fonts that a
// document does not bring along.
const beside: Plugin = {
  name: "beside",
  closeBundle() {
    cpSync(join(pdfjs, "build/pdf.worker.min.mjs"), join(out, "pdf.worker.min.mjs"));
    for (const folder of ["cmaps", "standard_fonts", "iccs"]) cpSync(join(pdfjs, folder), join(out, folder), { recursive: true });
    mkdirSync(join(out, "wasm"), { recursive: true });
    for (const name of readdirSync(join(pdfjs, "wasm")).filter((n) => !/quickjs|nowasm/i.test(n))) cpSync(join(pdfjs, "wasm", name), join(out, "wasm", name));
  },
  buildStart() {
    rmSync(out, { recursive: true, force: true });
  },
};

// The reader is served by the link service, on the recipients' origin; see services/link/reader.go.
export default defineConfig({
  plugins: [beside],
  base: "./",
  publicDir: false,
  build: {
    target: "es2022",
    outDir: out,
    emptyOutDir: true,
    assetsInlineLimit: 16384,
    modulePreload: false,
    rollupOptions: {
      input: "reader/main.ts",
      output: { entryFileNames: "reader.js", chunkFileNames: "[name].js", assetFileNames: "reader[extname]" },
    },
  },
});
