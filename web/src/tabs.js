// The tabs beside the sliders: from one picture to another, and the map of codes.
import { applyPalette, GIFEncoder, quantize } from "gifenc";
import { download, h } from "./dom.js";
import { paint } from "./draw.js";

const FRAMES = 16;
const SPOTS = 9;
const GRID = 13;

const between = (a, b, t) => Float32Array.from(a, (value, i) => value + t * (b[i] - value));

export function mixTab(app) {
  const { size, channels, latent } = app.manifest;
  app.mix ??= { a: app.state.code, b: app.arrays.codes.slice(latent * Math.min(1, app.gallery - 1), latent * (Math.min(1, app.gallery - 1) + 1)) };
  const ends = { a: h("canvas.smooth", { role: "img", "aria-label": "A" }), b: h("canvas.smooth", { role: "img", "aria-label": "B" }) };
  const strip = h("div.strip", { "aria-hidden": "true" }, ...Array.from({ length: SPOTS }, () => h("canvas.smooth")));
  const slider = h("input.plainrange", { type: "range", min: 0, max: 1, step: 0.01, value: 0, "aria-label": "From A to B", oninput: () => go(Number(slider.value)), onchange: () => { moving = false; app.settle(); } });
  let moving = false;
  function go(t) {
    const code = between(app.mix.a, app.mix.b, t);
    const state = { picture: null, own: null, base: app.mix.a, code, label: `${Math.round(100 * t)}% of the way from A to B` };
    if (!moving) app.history.push(state);
    else app.history.replace(state);
    moving = true;
    app.showState();
  }
  async function draw() {
    const codes = new Float32Array(SPOTS * latent);
    for (let i = 0; i < SPOTS; i++) codes.set(between(app.mix.a, app.mix.b, i / (SPOTS - 1)), i * latent);
    const levels = await app.engine.decode(codes);
    [...strip.children].forEach((canvas, i) => paint(canvas, levels.subarray(i * app.pixels, (i + 1) * app.pixels), size, channels));
    paint(ends.a, levels.subarray(0, app.pixels), size, channels);
    paint(ends.b, levels.subarray((SPOTS - 1) * app.pixels), size, channels);
  }
  const take = (end) => () => { app.mix[end] = app.state.code; slider.value = 0; draw(); };
  const element = h("div.stack", {},
    h("p.soft", {}, "Load a picture or turn the sliders, take it as A; do the same for B; then go from one to the other in a straight line through the codes."),
    h("div.mix", {}, ends.a, slider, ends.b),
    strip,
    h("div.row-between", {},
      h("div.tools", {}, h("button", { type: "button", onclick: take("a") }, "Take this picture as A"), h("button", { type: "button", onclick: take("b") }, "Take it as B")),
      h("button.primary", { type: "button", onclick: () => saveGif(app) }, "Save GIF")));
  draw();
  return { element };
}

async function saveGif(app) {
  const { size, channels, name } = app.manifest;
  const scale = Math.max(1, Math.floor(256 / size));
  const canvas = h("canvas");
  const large = h("canvas", { width: size * scale, height: size * scale });
  const context = large.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = scale > 1;
  const gif = GIFEncoder();
  for (let i = 0; i < 2 * FRAMES - 2; i++) { // there and back
    const t = (i < FRAMES ? i : 2 * FRAMES - 2 - i) / (FRAMES - 1);
    paint(canvas, await app.engine.decode(between(app.mix.a, app.mix.b, t)), size, channels);
    context.drawImage(canvas, 0, 0, large.width, large.height);
    const { data } = context.getImageData(0, 0, large.width, large.height);
    const palette = quantize(data, 256);
    gif.writeFrame(applyPalette(data, palette), large.width, large.height, { palette, delay: i === 0 || i === FRAMES - 1 ? 500 : 60 });
  }
  gif.finish();
  download(`${name}.gif`, new Blob([gif.bytes()], { type: "image/gif" }));
  app.say("Saved the way from A to B as a GIF.");
}

export function mapTab(app) {
  const kinds = Object.keys(app.manifest.arrays).filter((key) => key.startsWith("map_")).map((key) => key.slice(4));
  app.mapKind ??= kinds[0];
  const map = h("div.map", { role: "group", "aria-label": "Map of the gallery" });
  const choose = h("select", { "aria-label": "Kind of map", onchange: () => { app.mapKind = choose.value; fill(); } },
    ...kinds.map((kind) => h("option", { value: kind, selected: kind === app.mapKind }, kind === "canonical" ? "c0 and c1" : kind.toUpperCase())));
  const dots = h("canvas", { "aria-hidden": "true", width: 800, height: 600 });
  let buttons = [];
  function fill() {
    const [points, cloud] = [app.arrays[`map_${app.mapKind}`], app.arrays[`cloud_${app.mapKind}`]];
    const place = placer([...points, ...cloud]);
    const context = dots.getContext("2d");
    context.clearRect(0, 0, 800, 600);
    context.fillStyle = getComputedStyle(app.page).getPropertyValue("--soft");
    context.globalAlpha = 0.6;
    for (let i = 0; i < cloud.length; i += 2) {
      const [x, y] = place(cloud[i], cloud[i + 1]);
      context.fillRect(8 * x - 2, 6 * y - 2, 4, 4);
    }
    buttons = Array.from({ length: app.gallery }, (_, i) => {
      const [x, y] = place(points[2 * i], points[2 * i + 1]);
      const label = app.manifest.labels[i] || `Picture ${i + 1}`;
      const button = h("button", { type: "button", title: label, "aria-label": label, onclick: () => app.load(i) }, app.thumbnail(i));
      button.style.left = `${x}%`;
      button.style.top = `${y}%`;
      return button;
    });
    map.replaceChildren(dots, ...buttons);
    mark();
  }
  const mark = () => buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === app.state.picture)));
  fill();
  const about = h("p.soft", {}, "The gallery's codes in two dimensions, with training codes as dots: pictures that lie together look alike to the model. Choose one to load it.");
  const plane = app.manifest.latent === 2 ? manifold(app) : null;
  return { element: h("div.stack", {}, h("div.row-between", {}, about, kinds.length > 1 ? choose : null), map, plane), onState: mark };
}

function placer(all) {
  const xs = all.filter((_, i) => i % 2 === 0);
  const ys = all.filter((_, i) => i % 2 === 1);
  const scale = (values) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return (value) => 6 + (88 * (value - low)) / (high - low || 1);
  };
  const [sx, sy] = [scale(xs), scale(ys)];
  return (x, y) => [sx(x), 100 - sy(y)];
}

// The decoded plane of a code with two dimensions, even in probability (arXiv 1312.6114, figure 4).
function manifold(app) {
  const { size, channels } = app.manifest;
  const { mean, sd } = app.arrays;
  const at = (i) => inverseNormal((i + 0.5) / GRID);
  const code = (column, row) => Float32Array.of(mean[0] + sd[0] * at(column), mean[1] + sd[1] * at(GRID - 1 - row));
  const canvas = h("canvas.smooth", { width: GRID * size, height: GRID * size });
  const mark = h("i", { hidden: true });
  let cell = [(GRID - 1) / 2, (GRID - 1) / 2];
  const go = (column, row) => {
    cell = [column, row].map((i) => Math.max(0, Math.min(GRID - 1, i)));
    mark.hidden = false;
    [mark.style.left, mark.style.top] = cell.map((i) => `${(100 * i) / GRID}%`);
    app.loadCode(code(...cell), "From the plane of codes");
  };
  const plane = h("button.grid2d", { type: "button", "aria-label": "The whole plane of codes, decoded: arrows go from cell to cell",
    onclick: (event) => {
      const box = canvas.getBoundingClientRect();
      if (event.detail) go(Math.floor((GRID * (event.clientX - box.x)) / box.width), Math.floor((GRID * (event.clientY - box.y)) / box.height));
      else go(...cell); // by a key
    },
    onkeydown: (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      go(cell[0] + step[0], cell[1] + step[1]);
    } }, canvas, mark);
  (async () => {
    const small = h("canvas");
    for (let row = 0; row < GRID; row++) {
      const codes = new Float32Array(2 * GRID);
      for (let column = 0; column < GRID; column++) codes.set(code(column, row), 2 * column);
      const levels = await app.engine.decode(codes);
      for (let column = 0; column < GRID; column++) {
        paint(small, levels.subarray(column * app.pixels, (column + 1) * app.pixels), size, channels);
        canvas.getContext("2d").drawImage(small, column * size, row * size);
      }
    }
    canvas.dataset.done = "yes";
  })();
  return h("div.stack", {}, h("h2", {}, "The whole plane of codes"), plane);
}

// Quantiles of the standard normal by bisection of its distribution (erf: Abramowitz & Stegun 7.1.26).
export function inverseNormal(p) {
  const cdf = (x) => {
    const t = 1 / (1 + 0.3275911 * Math.abs(x) * Math.SQRT1_2);
    const tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * Math.exp((-x * x) / 2);
    return x < 0 ? tail / 2 : 1 - tail / 2;
  };
  let [low, high] = [-8, 8];
  while (high - low > 1e-6) {
    const middle = (low + high) / 2;
    if (cdf(middle) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
