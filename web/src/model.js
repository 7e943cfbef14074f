// The state of the page: a starting picture, the code as it is now, locks, and the history of both.
import { fromBase64Url, toBase64Url } from "./binary.js";

export class Dial {
  constructor(about, vector, reader, axis, id) {
    Object.assign(this, about);
    this.vector = vector; // what one unit adds to a code; null for an axis
    this.reader = reader; // what a code's coordinate is read with: blind to other canonical coordinates
    this.origin ??= 0;
    this.axis = axis;
    this.id = id;
    this.locked = false;
    this.measured = this.kind !== "made"; // a page cannot measure a safe range
    this.reach = Math.min(8, Math.max(3, Math.ceil(Math.max(-this.low, this.high) + 0.5)));
  }

  along(code) {
    if (!this.vector) return code[this.axis];
    let sum = 0;
    for (let i = 0; i < code.length; i++) sum += code[i] * this.reader[i];
    return sum - this.origin;
  }

  // In standard deviations from the mean of the training codes.
  read(code) {
    return this.sd > 0 ? (this.along(code) - this.mean) / this.sd : 0;
  }

  write(code, sds) {
    return this.shift(code, this.mean + sds * this.sd - this.along(code));
  }

  shift(code, amount) {
    const out = Float32Array.from(code);
    if (!this.vector) out[this.axis] += amount;
    else for (let i = 0; i < out.length; i++) out[i] += amount * this.vector[i];
    return out;
  }

  // Where the safe range of a picture with this code begins and ends, in the same units; or how far the slider goes.
  safe(base) {
    const own = this.read(base);
    return [own + this.low, own + this.high];
  }

  unsafe(code, base) {
    if (!this.measured) return false;
    const moved = this.read(code) - this.read(base);
    return moved < this.low - 0.01 || moved > this.high + 0.01;
  }
}

export function makeDials(manifest, arrays) {
  const { latent } = manifest;
  let next = 0;
  return manifest.dials.map((about, id) => {
    if (about.kind === "axis") return new Dial(about, null, null, Number(about.name), id);
    const start = latent * next++;
    const [vector, reader] = [arrays.vectors, arrays.readers].map((rows) => rows.subarray(start, start + latent));
    return new Dial(about, vector, reader, -1, id);
  });
}

export class History {
  constructor(first) {
    this.past = [];
    this.now = first;
    this.future = [];
  }

  push(state) {
    this.past.push(this.now);
    if (this.past.length > 500) this.past.shift();
    this.now = state;
    this.future = [];
  }

  // Changes what is shown without a new step: a drag is one step, recorded at its first movement.
  replace(state) {
    this.now = state;
  }

  undo() {
    if (this.past.length) {
      this.future.push(this.now);
      this.now = this.past.pop();
    }
    return this.now;
  }

  redo() {
    if (this.future.length) {
      this.past.push(this.now);
      this.now = this.future.pop();
    }
    return this.now;
  }
}

// #v1.<model>.<gallery picture or x>.<the code as float32, or nothing where it is the picture's own>
export function toHash(fingerprint, state) {
  const same = state.picture !== null && state.code.every((value, i) => value === state.base[i]);
  const code = same ? "" : toBase64Url(new Uint8Array(Float32Array.from(state.code).buffer));
  return `#v1.${fingerprint}.${state.picture ?? "x"}.${code}`;
}

export function fromHash(hash, fingerprint, latent, pictures) {
  const match = /^#v1\.([0-9a-f]{8})\.(x|\d{1,4})\.([\w-]*)$/.exec(hash);
  if (!match) return null;
  if (match[1] !== fingerprint) throw new Error("This link belongs to another model, so it was not opened.");
  const picture = match[2] === "x" ? null : Number(match[2]);
  const broken = new Error("This link is damaged, so it was not opened.");
  if (picture !== null && picture >= pictures) throw broken;
  if (picture === null && !match[3]) throw broken;
  if (!match[3]) return { picture, code: null };
  const bytes = readable(match[3]);
  if (bytes?.length !== 4 * latent) throw broken;
  const code = new Float32Array(bytes.buffer);
  if (!code.every(Number.isFinite)) throw broken;
  return { picture, code };
}

function readable(text) {
  try {
    return fromBase64Url(text);
  } catch {
    return null;
  }
}

// One of the codes (N, D) drawn from the run's prior, moved from the mean in proportion to the temperature.
export function randomCode({ drawn, mean }, latent, temperature) {
  const row = latent * Math.floor((Math.random() * drawn.length) / latent);
  return Float32Array.from({ length: latent }, (_, i) => mean[i] + temperature * (drawn[row + i] - mean[i]));
}
