function fit(canvas, size) { // setting a canvas's size clears it and takes time
  if (canvas.width !== size || canvas.height !== size) canvas.width = canvas.height = size;
}

// Levels (H, W, C) from 0 to 255 on canvases.
export function paint(canvas, levels, size, channels) {
  fit(canvas, size);
  const image = new ImageData(size, size);
  for (let p = 0; p < size * size; p++) {
    for (let c = 0; c < 3; c++) image.data[4 * p + c] = Math.round(levels[p * channels + (channels === 3 ? c : 0)]);
    image.data[4 * p + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// Dark violet to yellow, even in lightness, so that it reads without colour vision too (after matplotlib's inferno).
const HEAT = [[0, 0, 4], [40, 11, 84], [101, 21, 110], [159, 42, 99], [212, 72, 66], [245, 125, 21], [250, 193, 39], [252, 255, 164]];

export function paintDifference(canvas, a, b, size, channels, gain) {
  fit(canvas, size);
  const image = new ImageData(size, size);
  for (let p = 0; p < size * size; p++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += Math.abs(a[p * channels + c] - b[p * channels + c]);
    const at = Math.min(1, (gain * sum) / channels / 255) * (HEAT.length - 1);
    const low = Math.min(HEAT.length - 2, Math.floor(at));
    for (let c = 0; c < 3; c++) image.data[4 * p + c] = HEAT[low][c] + (at - low) * (HEAT[low + 1][c] - HEAT[low][c]);
    image.data[4 * p + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

export function change(a, b) {
  let sum = 0;
  let moved = 0;
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs(a[i] - b[i]);
    sum += d;
    if (d > 8) moved++;
  }
  return { levels: sum / a.length, share: moved / a.length };
}

// A picture file -> levels (H, W, C), fitted as the training pictures were. Nothing leaves the page.
export async function readPicture(file, { size, channels, fit, background }) {
  if (file.size > 60e6) throw new Error("That file is larger than 60 MB: choose a smaller picture.");
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error("That file is not a picture this browser can read: choose a JPEG, PNG or WebP.");
  }
  const { width, height } = bitmap;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = background;
  context.fillRect(0, 0, size, size);
  context.imageSmoothingQuality = "high";
  const scale = fit === "pad" ? size / Math.max(width, height) : size / Math.min(width, height);
  const [w, h] = fit === "stretch" ? [size, size] : [width * scale, height * scale];
  context.drawImage(shrunk(bitmap, w, h), (size - w) / 2, (size - h) / 2, w, h);
  bitmap.close();
  const { data } = context.getImageData(0, 0, size, size);
  const levels = new Float32Array(size * size * channels);
  for (let p = 0; p < size * size; p++) {
    const [r, g, b] = [data[4 * p], data[4 * p + 1], data[4 * p + 2]];
    if (channels === 3) levels.set([r, g, b], 3 * p);
    else levels[p] = 0.299 * r + 0.587 * g + 0.114 * b;
  }
  return levels;
}

// Halve until near the target: one large step of drawImage would skip pixels.
function shrunk(source, w, h) {
  let [width, height] = [source.width, source.height];
  while (width >= 2 * w && height >= 2 * h && width > 2 && height > 2) {
    const half = document.createElement("canvas");
    half.width = width = Math.ceil(width / 2);
    half.height = height = Math.ceil(height / 2);
    const context = half.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(source, 0, 0, width, height);
    source = half;
  }
  return source;
}
