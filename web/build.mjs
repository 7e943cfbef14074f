// Builds the front end into the Python package: `node build.mjs [folder]`.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const out = process.argv[2] ?? "../src/latentdial/explorer/built";
mkdirSync(out, { recursive: true });

await build({
  entryPoints: { page: "src/page.js", widget: "src/widget.js" },
  outdir: out,
  bundle: true,
  minify: true,
  legalComments: "inline",
  charset: "utf8",
  format: "esm",
  target: ["chrome115", "firefox115", "safari17"],
  loader: { ".css": "text" },
  // onnxruntime-web resolves its files against import.meta.url; there is none in a file:// page and none is needed.
  define: { "import.meta.url": '"https://latentdial.invalid/page.mjs"' },
});

const page = readFileSync(`${out}/page.js`, "utf8");
writeFileSync(`${out}/page.js`, `(()=>{${page.replaceAll("</script", "<\\/script")}})();\n`);
const runtime = readFileSync("node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm");
writeFileSync(`${out}/runtime.wasm.gz`, gzipSync(runtime, { level: 9 }));

// A test without Node compares this with the sources, so that a forgotten rebuild is noticed everywhere.
const hash = createHash("sha256");
for (const name of ["build.mjs", "package-lock.json", ...readdirSync("src").sort().map((file) => `src/${file}`)]) {
  hash.update(name).update(readFileSync(name));
}
writeFileSync(`${out}/sources.sha256`, `${hash.digest("hex")}\n`);
