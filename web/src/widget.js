// The notebook widget: parts arrive as traitlets; nets without an ONNX form are run by the kernel.
import { mountApp } from "./app.js";
import { gunzip } from "./binary.js";

function bytesOf(model, name) {
  const view = model.get(name);
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

export default {
  render({ model, el }) {
    const root = el.attachShadow({ mode: "open" });
    let asked = 0;
    const waiting = new Map();
    model.on("msg:custom", ({ id }, buffers) => {
      const view = buffers[0];
      waiting.get(id)?.(new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)));
      waiting.delete(id);
    });
    return mountApp(root, {
      manifest: JSON.parse(model.get("manifest")),
      part: async (name) => bytesOf(model, name),
      runtime: async () => gunzip(bytesOf(model, "runtime")),
      post: (kind, values) => new Promise((done) => {
        waiting.set(++asked, done);
        model.send({ kind, id: asked }, undefined, [values.buffer]);
      }),
      links: false,
    });
  },
};
