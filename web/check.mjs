// Fails unless the committed bundle is what the sources build: `node check.mjs`.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { gunzipSync } from "node:zlib";

const committed = "../src/latentdial/explorer/built";
const fresh = mkdtempSync(`${tmpdir()}/latentdial-`);
execFileSync(process.execPath, ["build.mjs", fresh], { stdio: "inherit" });
const read = (folder, name) => {
  const bytes = readFileSync(`${folder}/${name}`);
  return name.endsWith(".gz") ? gunzipSync(bytes) : bytes; // gzip's bytes differ between versions of zlib
};
const stale = ["page.js", "widget.js", "runtime.wasm.gz", "sources.sha256"].filter((name) => !read(committed, name).equals(read(fresh, name)));
if (stale.length) {
  console.error(`${stale.join(", ")} in ${committed} is not what web/ builds: run make web and commit it`);
  process.exit(1);
}
console.log("the committed bundle is what web/ builds");
