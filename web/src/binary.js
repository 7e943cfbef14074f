// Bytes in and out of text, and the arrays of a manifest.
export function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

export function toBase64Url(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

export function fromBase64Url(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}

export async function gunzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export function readArrays(table, blob) {
  const kinds = { float32: Float32Array, uint8: Uint8Array };
  const bytes = blob.byteOffset % 8 ? blob.slice() : blob;
  return Object.fromEntries(Object.entries(table).map(([name, { dtype, shape, offset }]) => {
    const count = shape.reduce((a, b) => a * b, 1);
    return [name, new kinds[dtype](bytes.buffer, bytes.byteOffset + offset, count)];
  }));
}
