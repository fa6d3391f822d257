import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

// For `npm run dev` beside a running server, which FILIGREE_URL and FILIGREE_TOKEN name as they do for the CLI: calls carry
// the token, and the session that a browser would have had to sign in for is said to be of FILIGREE_ROLE.
const url = process.env.FILIGREE_URL ?? "http://127.0.0.1:8080";
const token = process.env.FILIGREE_TOKEN;

const asToken: Plugin = {
  name: "as-token",
  apply: "serve",
  configureServer(server) {
    if (!token) return;
    server.middlewares.use("/v1/session", (_, answer) => {
      answer.setHeader("Content-Type", "application/json");
      answer.end(JSON.stringify({ id: "dev", subject: "you", role: process.env.FILIGREE_ROLE ?? "admin", productions: ["*"], csrf_token: "dev", expires_at: "2099-01-01T00:00:00Z" }));
    });
  },
};

// Names of the built files do not change with their content: they are committed, and the gateway revalidates them by ETag.
export default defineConfig({
  plugins: [react(), asToken],
  resolve: { alias: { "react-remove-scroll": new URL("src/ui/scroll.tsx", import.meta.url).pathname } },
  build: {
    outDir: "dist",
    sourcemap: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      output: { entryFileNames: "assets/[name].js", chunkFileNames: "assets/[name].js", assetFileNames: "assets/[name][extname]" },
    },
  },
  server: {
    fs: { allow: ["../../.."] },
    proxy: { "/v1": { target: url, headers: token ? { Authorization: `Bearer ${token}` } : {} } },
  },
});
