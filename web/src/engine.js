// Runs the two nets: in the page through onnxruntime-web, or on the local server where they have no ONNX form.
import * as ort from "onnxruntime-web/wasm";

// Without prepacking, one code times a matrix reads the weights as they lie: twice as fast, and the page is ready sooner.
const OPTIONS = { executionProviders: ["wasm"], extra: { session: { disable_quant_qdq: "1", disable_prepacking: "1" } } };

export async function makeEngine(manifest, host) {
  const { size, channels, latent } = manifest;
  const picture = size * size * channels;
  if (!manifest.weights) {
    return {
      decode: (codes) => host.post("decode", codes),
      encode: (levels) => host.post("encode", levels),
    };
  }
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await host.runtime();
  ort.env.logLevel = "error";
  const sessions = {};
  const open = async (name) => (sessions[name] ??= ort.InferenceSession.create(await host.part(name), OPTIONS));
  const run = async (name, values, shape) => {
    const session = await (await open(name));
    const out = await session.run({ [session.inputNames[0]]: new ort.Tensor("float32", values, shape) });
    return out[session.outputNames[0]].data;
  };
  await open("decoder");
  return {
    decode: (codes) => run("decoder", codes, [codes.length / latent, latent]),
    encode: (levels) => run("encoder", levels, [levels.length / picture, size, size, channels]),
  };
}

// Only the newest request is worth running: whatever was asked for meanwhile replaces what still waits.
export function latestWins(work) {
  let busy = false;
  let waiting = null;
  return async function ask(...request) {
    waiting = request;
    if (busy) return;
    busy = true;
    try {
      while (waiting) {
        const next = waiting;
        waiting = null;
        await work(...next);
      }
    } finally {
      busy = false;
    }
  };
}
