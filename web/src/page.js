// The exported HTML file and the local page: data comes from script blocks, or is fetched from this same address.
import { mountApp } from "./app.js";
import { fromBase64, gunzip } from "./binary.js";

const manifest = JSON.parse(document.getElementById("manifest").textContent);

async function part(name) {
  const bytes = manifest.inline ? await inlined(name) : new Uint8Array(await (await fetch(name)).arrayBuffer());
  return manifest.gzipped.includes(name) ? gunzip(bytes) : bytes;
}

async function inlined(name) {
  const block = document.getElementById(name) ?? (await parsed(), document.getElementById(name));
  const bytes = fromBase64(block.textContent);
  block.remove(); // the text takes more memory than the bytes
  return bytes;
}

// The encoder stands behind this script, so that the page starts before it is read.
function parsed() {
  return document.readyState === "loading" && new Promise((done) => addEventListener("DOMContentLoaded", done));
}

async function post(name, values) {
  const answer = await fetch(name, { method: "POST", body: values });
  if (!answer.ok) throw new Error("The local server did not answer: is latentdial explore still running?");
  return new Float32Array(await answer.arrayBuffer());
}

mountApp(document.getElementById("app"), {
  manifest,
  part,
  post,
  runtime: () => part("runtime"),
  links: true,
});
