// How unlike the training pictures one is: the same figure as latentdial.latent.novelty gives.
const REASONS = ["the codec keeps so little of it", "the codec draws other outlines", "its code lies so far from theirs"];

// `source` and `again` are levels (H, W, C), `code` is (D); null where no held-out pictures say what is usual.
export function novelty({ novelty: known, latent, size, channels }, arrays, source, again, code) {
  if (!known || !source) return null;
  const figures = [errorOf(source, again), mismatch(source, again, size, channels), distance(arrays, latent, code, known.flat)];
  const parts = figures.map((value, k) => (value - known.middle[k]) / known.spread[k]);
  const score = Math.max(...parts);
  const below = arrays.strange.filter((one) => one < score).length / arrays.strange.length;
  const unlike = score > known.limit;
  const count = arrays.strange.length.toLocaleString("en");
  const place = below === 1 ? `stranger than all ${count} held-out ones` : `stranger than ${Number((100 * below).toPrecision(3))}% of ${count} held-out ones`;
  const [lost, astray, away] = figures.map((value, k) => (value / Math.max(known.middle[k], 1e-9)).toFixed(1));
  const because = `${REASONS[parts.indexOf(score)]} (its error is ${lost}, the mismatch of outlines ${astray} and the distance of its code ${away} times the usual)`;
  return { unlike, percentile: 100 * below, place, because };
}

function errorOf(source, again) {
  let sum = 0;
  for (let i = 0; i < source.length; i++) sum += (source[i] - again[i]) ** 2;
  return Math.sqrt(sum);
}

// One minus the correlation of the differences between neighbouring pixels.
function mismatch(source, again, size, channels) {
  let [both, one, other] = [0, 0, 0];
  const row = size * channels;
  for (const [step, last] of [[row, size - 1], [channels, size]]) {
    for (let y = 0; y < last; y++) {
      for (let i = y * row; i < (y + 1) * row - (step === channels ? channels : 0); i++) {
        const [a, b] = [source[i + step] - source[i], again[i + step] - again[i]];
        both += a * b;
        one += a * a;
        other += b * b;
      }
    }
  }
  return 1 - both / Math.sqrt(one * other + 1e-9);
}

// Mahalanobis: the sampler's columns are the principal axes of the training codes, as long as their sd.
function distance({ sampler, mean }, latent, code, flat) {
  const variances = new Float64Array(latent);
  const along = new Float64Array(latent);
  for (let i = 0; i < latent; i++) {
    const offset = code[i] - mean[i];
    for (let j = 0; j < latent; j++) {
      const part = sampler[i * latent + j];
      variances[j] += part * part;
      along[j] += part * offset;
    }
  }
  const least = (flat * variances.reduce((sum, one) => sum + one, 0)) / latent;
  return Math.sqrt(along.reduce((sum, one, j) => (variances[j] > least ? sum + (one / variances[j]) ** 2 : sum), 0));
}
