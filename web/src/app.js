// The explorer: one picture's code, dials that turn it, and the decoded picture. Hosts give the data; see page.js.
import { readArrays } from "./binary.js";
import { download, h, storage } from "./dom.js";
import { change, paint, paintDifference, readPicture } from "./draw.js";
import { latestWins, makeEngine } from "./engine.js";
import { applyEdit, parseEdits } from "./grammar.js";
import { Dial, fromHash, History, makeDials, randomCode, toHash } from "./model.js";
import { novelty } from "./novelty.js";
import { dialRow, virtualList } from "./sliders.js";
import { mapTab, mixTab } from "./tabs.js";
import css from "./style.css";

const FEW = 12; // sliders at first
const NAMED = 2; // dials that a warning names
const HOLD = [" ", "Enter"];

export async function mountApp(root, host) {
  const { manifest } = host;
  const page = h("div.ld", {}, h("div.loading", { role: "status" }, `Opening ${manifest.name}…`));
  page.classList.toggle("embedded", !host.links);
  page.classList.toggle("dark", storage.read("latentdial.theme").dark ?? matchMedia("(prefers-color-scheme: dark)").matches);
  root.append(h("style", {}, css), page);
  await new Promise((done) => setTimeout(done)); // let the browser show the line before the runtime starts
  try {
    const arrays = readArrays(manifest.arrays, await host.part("arrays"));
    const engine = await makeEngine(manifest, host);
    const app = new App(page, host, arrays, engine);
    await app.start();
    page.dataset.ready = Math.round(performance.now());
    return () => app.stop();
  } catch (error) {
    page.replaceChildren(h("div.loading", { role: "alert" }, `The explorer could not start: ${error.message}`));
    throw error;
  }
}

class App {
  constructor(page, host, arrays, engine) {
    const { manifest } = host;
    Object.assign(this, { page, host, manifest, arrays, engine });
    this.pixels = manifest.size ** 2 * manifest.channels;
    this.gallery = arrays.codes.length / manifest.latent;
    this.dials = makeDials(manifest, arrays);
    this.names = storage.read(`latentdial.names.${manifest.fingerprint}`);
    this.own = null; // levels of a picture the user gave
    this.dragging = false;
    this.gain = 4;
    this.mode = "edited"; // what the large canvas shows: edited, or before while comparing
    this.history = new History(this.#galleryState(0));
    this.#draw = latestWins(() => this.#render());
    this.#thumbnails = latestWins((rows, run) => this.#renderThumbnails(rows, run));
    this.thumbnailRun = 0;
    this.#build();
  }

  #draw;
  #thumbnails;

  get state() {
    return this.history.now;
  }

  async start() {
    // In a notebook the address, the clipboard and the keys belong to the notebook, but for what happens in here.
    if (this.host.links) addEventListener("hashchange", this.onHash);
    else this.page.addEventListener("keydown", (event) => event.stopPropagation());
    (this.host.links ? this.page.ownerDocument : this.page).addEventListener("paste", this.onPaste);
    if (this.host.links && location.hash) this.#openLink();
    await this.#render();
    this.#showRows();
    this.freshThumbnails();
  }

  stop() {
    removeEventListener("hashchange", this.onHash);
    this.page.ownerDocument.removeEventListener("paste", this.onPaste);
  }

  // -- what can be done ------------------------------------------------------------------------------------------

  turn(dial, sds, whole = false) {
    this.#change({ ...this.state, code: dial.write(this.state.code, sds) }, whole);
  }

  settle() {
    this.dragging = false;
    this.freshThumbnails();
  }

  load(index) {
    this.#go(this.#keepLocks(this.#galleryState(index)));
  }

  loadCode(code, label) {
    this.#go(this.#keepLocks({ picture: null, own: null, base: code, code, label }));
  }

  random() {
    const temperature = Number(this.temperature.value);
    const { prior, note } = this.manifest.random;
    this.loadCode(randomCode(this.arrays, this.manifest.latent, temperature), `Random (${prior}), temperature ${temperature}`);
    if (note) this.say(note);
  }

  mean() {
    this.loadCode(Float32Array.from(this.arrays.mean), "Mean of the training codes");
  }

  reset() {
    this.#go({ ...this.state, code: this.state.base });
  }

  undo() {
    this.history.undo();
    this.#shown();
  }

  redo() {
    this.history.redo();
    this.#shown();
  }

  edit(text) {
    try {
      let { code } = this.state;
      for (const edit of parseEdits(text)) {
        const dial = this.find(edit.target);
        const before = dial.along(code);
        const after = applyEdit(edit, before, dial.mean, dial.sd);
        if (!(Math.abs(after) < 3.4e38)) throw new Error(`${text} leaves the numbers a net can take: use a smaller one.`);
        code = dial.shift(code, after - before);
      }
      this.#go({ ...this.state, code });
      this.say("");
      return true;
    } catch (error) {
      this.say(error.message);
      return false;
    }
  }

  find(target) {
    const named = this.dials.find((dial) => dial.kind !== "axis" && [dial.name, this.names[dial.name]].includes(target));
    const dial = named ?? this.dials.find((one) => one.kind === "axis" && one.name === target);
    if (!dial) throw new Error(`There is no “${target}”: use c0, c1, …, a raw dimension from 0 to ${this.manifest.latent - 1}, or a direction's name.`);
    return dial;
  }

  nameOf(dial) {
    const plain = dial.kind === "axis" ? `Raw dimension ${dial.name}` : dial.name;
    return this.names[dial.name] || plain;
  }

  rename(dial, name) {
    if (name) this.names[dial.name] = name;
    else delete this.names[dial.name];
    storage.write(`latentdial.names.${this.manifest.fingerprint}`, this.names);
    this.#buildPanel();
    this.say(`${dial.name} is now called ${this.nameOf(dial)}.`);
  }

  async open(file) {
    try {
      const levels = await readPicture(file, this.manifest);
      this.say("Reading the picture…");
      const code = Float32Array.from(await this.engine.encode(levels));
      this.#go(this.#keepLocks({ picture: null, own: levels, base: code, code, label: file.name || "Pasted picture" }));
      this.say("");
    } catch (error) {
      this.say(error.message);
    }
  }

  async copyLink() {
    history.replaceState(null, "", toHash(this.manifest.fingerprint, this.state));
    try {
      await navigator.clipboard.writeText(location.href);
      this.say("Link copied: it opens exactly this state.");
    } catch {
      this.say("The address bar now holds the link: copy it from there.");
    }
  }

  savePng() {
    const scale = Math.max(1, Math.floor(1024 / this.manifest.size));
    const canvas = h("canvas");
    canvas.width = canvas.height = this.manifest.size * scale;
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(this.canvas, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => download(`${this.manifest.name}.png`, blob), "image/png");
  }

  async saveDirection(name) {
    const { base, code } = this.state;
    const step = base.map((value, i) => code[i] - value);
    const length = Math.hypot(...step);
    if (!(length > 0)) return void this.say("Turn something first: a direction is the change you have made.");
    if (!/^(?!c\d+$)[A-Za-z_][\w.-]{0,39}$/.test(name)) return void this.say("A name starts with a letter and has letters, digits, _ . or -; c0, c1, … are taken");
    if (this.dials.some((dial) => [dial.name, this.names[dial.name]].includes(name))) return void this.say(`There is a “${name}” already: choose another name.`);
    const vector = step.map((value) => value / length);
    const sd = Math.sqrt(this.#variance(vector));
    const mean = vector.reduce((sum, value, i) => sum + value * this.arrays.mean[i], 0);
    const file = { format: "latentdial-direction", version: 1, name, model: this.manifest.fingerprint, latent: vector.length, mean, sd, step: length, vector: [...vector] };
    download(`${name}.json`, new Blob([JSON.stringify(file)], { type: "application/json" }));
    const reach = Math.max(3, sd > 0 ? length / sd : 3);
    const about = { name, kind: "made", mean, sd: sd || length, low: -reach, high: reach, effect: await this.#effect(vector, sd || length) };
    this.dials.push(new Dial(about, vector, vector, -1, this.dials.length));
    this.#buildPanel();
    this.say(`Saved ${name}.json, and added ${name} to the sliders.`);
    return true;
  }

  // Mean absolute change in levels for +-1 sd, over the first codes of the gallery.
  async #effect(vector, sd) {
    const { latent } = this.manifest;
    const start = this.arrays.codes.subarray(0, latent * Math.min(this.gallery, 8));
    const moved = (sign) => this.engine.decode(start.map((value, i) => value + sign * sd * vector[i % latent]));
    const before = await this.engine.decode(start.slice());
    return (change(await moved(1), before).levels + change(await moved(-1), before).levels) / 2;
  }

  // Of the sampling Gaussian along a direction: |A^T v|^2 for codes that are mean + A noise.
  #variance(vector) {
    const { latent } = this.manifest;
    const out = new Float64Array(latent);
    for (let i = 0; i < latent; i++) for (let j = 0; j < latent; j++) out[j] += this.arrays.sampler[i * latent + j] * vector[i];
    return out.reduce((sum, value) => sum + value * value, 0);
  }

  say(text) {
    this.toast.textContent = text;
    clearTimeout(this.toastTimer);
    this.toastTimer = setTimeout(() => { this.toast.textContent = ""; }, 6000);
  }

  // -- state -----------------------------------------------------------------------------------------------------

  #galleryState(index) {
    const { latent } = this.manifest;
    const code = this.arrays.codes.slice(index * latent, (index + 1) * latent);
    return { picture: index, own: null, base: code, code, label: this.manifest.labels[index] || `Picture ${index + 1}` };
  }

  #keepLocks(state) {
    let { code } = state;
    for (const dial of this.dials) if (dial.locked) code = dial.write(code, dial.read(this.state.code));
    return { ...state, code };
  }

  // A drag is many changes and one step of undo: the first records, the rest replace, until the slider settles.
  #change(state, whole) {
    if (whole || !this.dragging) this.history.push(state);
    else this.history.replace(state);
    this.dragging = !whole;
    if (whole) this.freshThumbnails();
    this.#showRows();
    this.#draw();
  }

  #go(state) {
    this.history.push(state);
    this.#shown();
  }

  showState() {
    this.#showRows();
    this.#draw();
  }

  #shown() {
    this.dragging = false;
    this.#showRows();
    this.#draw();
    this.freshThumbnails();
  }

  onHash = () => this.#openLink();

  #openLink() {
    try {
      const link = fromHash(location.hash, this.manifest.fingerprint, this.manifest.latent, this.gallery);
      if (!link) return;
      const from = link.picture === null ? { picture: null, own: null, base: link.code, label: "From a link" } : this.#galleryState(link.picture);
      this.#go({ ...from, code: link.code ?? from.base });
    } catch (error) {
      this.say(error.message);
    }
  }

  onPaste = (event) => {
    const file = [...(event.clipboardData?.files ?? [])][0];
    if (file) this.open(file);
  };

  // -- drawing ---------------------------------------------------------------------------------------------------

  sourceLevels(state = this.state) {
    if (state.own) return state.own;
    return state.picture === null ? null : this.arrays.pictures.subarray(state.picture * this.pixels, (state.picture + 1) * this.pixels);
  }

  async #render() {
    const { state } = this;
    const began = performance.now();
    const now = await this.engine.decode(Float32Array.from(state.code));
    if (this.decodedBase !== state.base) {
      this.before = state.code === state.base ? now : await this.engine.decode(Float32Array.from(state.base));
      this.decodedBase = state.base;
    }
    this.now = now;
    this.#paint();
    this.page.dataset.decode = (performance.now() - began).toFixed(2);
    this.page.dataset.frames = Number(this.page.dataset.frames ?? 0) + 1;
  }

  #paint() {
    const { size, channels } = this.manifest;
    const comparing = this.mode === "before";
    paint(this.canvas, comparing ? this.before : this.now, size, channels);
    this.badge.textContent = comparing ? "Before" : "";
    this.badge.hidden = !comparing;
    if (this.paintedBefore !== this.before) this.#paintBefore();
    paintDifference(this.heat, this.now, this.before, size, channels, this.gain);
    this.#numbers();
  }

  #paintBefore() {
    const { size, channels } = this.manifest;
    const source = this.sourceLevels();
    this.sourceFigure.hidden = !source;
    if (source) paint(this.source, source, size, channels);
    paint(this.reconstruction, this.before, size, channels);
    this.paintedBefore = this.before;
    this.#tellNovelty(novelty(this.manifest, this.arrays, source, this.before, this.state.base));
  }

  #tellNovelty(found) {
    this.novelty.hidden = !found;
    if (!found) return;
    this.novelty.className = found.unlike ? "unlike" : "soft";
    this.novelty.textContent = found.unlike
      ? `This picture is unlike the training pictures, ${found.place}: ${found.because}. What you see is the nearest that this codec can draw.`
      : `As a picture, ${found.place}.`;
    this.page.dataset.novelty = found.percentile;
  }

  #numbers() {
    const { levels, share } = change(this.now, this.before);
    const { base, code } = this.state;
    const out = code === base ? [] : this.dials.filter((dial) => (dial.kind !== "axis" || this.tab === "axis") && dial.unsafe(code, base));
    const moved = Math.sqrt(base.reduce((sum, value, i) => sum + ((code[i] - value) / (this.arrays.sd[i] || 1)) ** 2, 0) / base.length);
    this.numbers.levels.firstChild.textContent = levels.toFixed(1);
    this.numbers.share.firstChild.textContent = (100 * share).toFixed(0);
    this.numbers.moved.firstChild.textContent = moved.toFixed(2);
    this.warning.hidden = !out.length;
    out.sort((a, b) => this.#inView(b) - this.#inView(a)); // one turn moves the dials of other tabs along
    const names = out.slice(0, NAMED).map((dial) => `${this.nameOf(dial)} moved by ${(dial.read(code) - dial.read(base)).toFixed(1)} sd (safe: ${dial.low.toFixed(1)} to ${dial.high.toFixed(1)})`);
    this.warning.textContent = out.length ? `Outside the safe range: ${names.join("; ")}${out.length > NAMED ? `, and ${out.length - NAMED} more` : ""}. The picture may break.` : "";
    this.caption.textContent = this.state.label;
  }

  #inView(dial) {
    return (dial.kind === "attribute") === (this.tab === "attribute");
  }

  #showRows() {
    this.undoButton.disabled = !this.history.past.length;
    this.redoButton.disabled = !this.history.future.length;
    this.galleryButtons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === this.state.picture)));
    this.visibleRows().forEach((row) => row.show());
    this.panel?.onState?.();
  }

  visibleRows() {
    return this.panel?.rows?.() ?? [];
  }

  // Pictures at both ends of every slider in view, two rows at a time so that a drag never waits for them.
  freshThumbnails() {
    const run = ++this.thumbnailRun;
    clearTimeout(this.thumbnailTimer);
    this.thumbnailTimer = setTimeout(() => this.#thumbnails(this.visibleRows(), run), 120);
  }

  async #renderThumbnails(rows, run) {
    const { latent, size, channels } = this.manifest;
    for (const row of rows) {
      if (run !== this.thumbnailRun || this.dragging) return;
      const codes = new Float32Array(2 * latent);
      row.dial.safe(this.state.base).forEach((sds, i) => codes.set(row.dial.write(this.state.code, sds), i * latent));
      const levels = await this.engine.decode(codes);
      row.ends.forEach((canvas, i) => paint(canvas, levels.subarray(i * this.pixels, (i + 1) * this.pixels), size, channels));
      await new Promise((done) => setTimeout(done));
    }
    this.page.dataset.thumbnails = run;
  }

  // -- elements --------------------------------------------------------------------------------------------------

  #build() {
    const { manifest } = this;
    this.toast = h("div.toast", { role: "status", "aria-live": "polite" });
    this.panelHolder = h("div", {});
    const source = [manifest.recipe, manifest.code, manifest.source && `trained on ${manifest.source.split("/").pop()}`].filter(Boolean).join(" · ");
    this.page.replaceChildren(
      h("div.frame", {}, // what the layout is fitted to: a notebook's cell may be narrow in a wide window
        h("header", {}, h("div.brand", {}, h("h1", {}, manifest.name), h("p.soft", {}, source)), this.#toolbar()),
        h("main", {},
          h("div.stack.left", {}, this.#gallery(), h("section.card", { "aria-label": "What to turn" }, this.panelHolder)),
          h("div.stack.side", {}, this.#stage(), this.#extras()))),
      this.toast,
    );
    for (const type of ["dragenter", "dragover", "dragleave", "drop"]) this.page.addEventListener(type, (event) => this.#drop(event));
    this.page.addEventListener("keydown", (event) => this.#key(event));
    this.page.addEventListener("keyup", (event) => event.key.toLowerCase() === "c" && this.#compare(false));
    if (!this.page.closest("body") || this.host.links) this.page.ownerDocument.body.addEventListener("keydown", (event) => event.target === this.page.ownerDocument.body && this.#key(event));
    if (this.host.links) this.page.ownerDocument.body.addEventListener("keyup", (event) => event.key.toLowerCase() === "c" && this.#compare(false));
    this.tab = this.dials.some((dial) => dial.kind !== "axis") ? "directions" : "axis";
    this.#buildPanel();
  }

  #toolbar() {
    const button = (label, title, act, attributes = {}) => h("button", { type: "button", title, onclick: act, ...attributes }, label);
    this.undoButton = button("Undo", "Undo (Ctrl+Z)", () => this.undo());
    this.redoButton = button("Redo", "Redo (Ctrl+Shift+Z)", () => this.redo());
    const told = h("output", {}, "0.80");
    this.temperature = h("input.plainrange", { type: "range", min: 0, max: 1.5, step: 0.05, value: 0.8, "aria-label": "Temperature of random pictures", oninput: () => { told.value = Number(this.temperature.value).toFixed(2); } });
    const temperature = h("label.field", { title: "How far from the mean random pictures may be" }, h("span.wide", {}, "Temperature"), this.temperature, told);
    return h("div.tools", { role: "toolbar", "aria-label": "Tools" },
      this.undoButton, this.redoButton, button("Reset", "Back to the picture's own code (R)", () => this.reset()),
      h("span.gap"), button("Random", "A random code", () => this.random()), temperature, button("Mean", "The mean of the training codes", () => this.mean()),
      h("span.gap"), button("Save PNG", "Save the decoded picture", () => this.savePng()),
      this.host.links ? button("Copy link", "A link that opens exactly this state", () => this.copyLink()) : null,
      button("◐", "Light or dark", () => this.#theme(), { "aria-label": "Light or dark" }));
  }

  #theme() {
    const dark = this.page.classList.toggle("dark");
    storage.write("latentdial.theme", { dark });
    this.panel?.onState?.();
  }

  #gallery() {
    const { manifest } = this;
    this.galleryButtons = Array.from({ length: this.gallery }, (_, i) => {
      const label = manifest.labels[i] || `Picture ${i + 1}`;
      return h("button", { type: "button", title: label, "aria-label": label, "aria-pressed": "false", onclick: () => this.load(i) }, this.thumbnail(i));
    });
    const file = h("input", { type: "file", accept: "image/*", "aria-label": "Choose a picture", onchange: () => { if (file.files[0]) this.open(file.files[0]); file.value = ""; } });
    return h("section.card", { "aria-label": "Pictures" },
      h("div.row-between", {}, h("h2", {}, manifest.gallery),
        h("label.file", { title: "Or drop one here, or paste it. It stays on this computer." }, "Your own picture…", file)),
      h("div.gallery", { role: "group", "aria-label": "Gallery" }, ...this.galleryButtons));
  }

  thumbnail(index) {
    const canvas = h("canvas.smooth", { "aria-hidden": "true" });
    paint(canvas, this.arrays.pictures.subarray(index * this.pixels, (index + 1) * this.pixels), this.manifest.size, this.manifest.channels);
    return canvas;
  }

  #stage() {
    this.canvas = h("canvas.smooth", { role: "img", "aria-label": "Decoded picture" });
    this.badge = h("span.badge", { hidden: true });
    this.source = h("canvas.smooth", { role: "img", "aria-label": "Source picture" });
    this.reconstruction = h("canvas.smooth", { role: "img", "aria-label": "Reconstruction before edits" });
    this.heat = h("canvas.smooth", { role: "img", "aria-label": "Where the edit changed the picture" });
    this.sourceFigure = h("figure", {}, this.source, h("figcaption", {}, "Source"));
    this.caption = h("p.soft");
    this.warning = h("p.warning", { role: "status", hidden: true });
    this.novelty = h("p.soft", { role: "status", hidden: true });
    const number = (unit) => h("dd", {}, "0", h("small", {}, unit));
    this.numbers = { levels: number(" of 255"), share: number("%"), moved: number(" sd") };
    const compare = h("button", { type: "button", title: "Hold C, or hold this", onpointerdown: () => this.#compare(true), onpointerup: () => this.#compare(false), onpointerleave: () => this.#compare(false),
      onkeydown: (event) => HOLD.includes(event.key) && this.#compare(true), onkeyup: () => this.#compare(false) }, "Hold to compare");
    return h("section.card.stack.stage", { "aria-label": "Picture" },
      h("div.row-between", {}, this.caption, compare),
      h("div.pictures", {}, h("div.big", {}, this.canvas, this.badge),
        h("div.trio", {}, this.sourceFigure, h("figure", {}, this.reconstruction, h("figcaption", {}, "Before")), h("figure", {}, this.heat, h("figcaption.gain", {}, "Difference", this.#gain())))),
      this.novelty,
      h("dl.numbers", {}, ...[["Mean change", "levels"], ["Pixels changed", "share"], ["Code moved", "moved"]].map(([title, key]) => h("div", {}, h("dt", {}, title), this.numbers[key]))),
      this.warning);
  }

  #extras() {
    return h("section.card.stack", { "aria-label": "Edits" }, this.#editLine(), this.#directionLine(), this.#about());
  }

  #gain() {
    const gain = h("input.plainrange", { type: "range", min: 1, max: 16, step: 1, value: this.gain, "aria-label": "Gain of the difference", title: "Gain: how much the difference is brightened",
      oninput: () => { this.gain = Number(gain.value); this.#paint(); } });
    return gain;
  }

  #editLine() {
    const line = h("input", { type: "text", placeholder: "c0+=2; 1*=2", "aria-label": "Edit", spellcheck: false, autocomplete: "off", onkeydown: (event) => { if (event.key === "Enter" && this.edit(line.value)) line.value = ""; } });
    return h("div.line", {}, line, h("button", { type: "button", onclick: () => { if (this.edit(line.value)) line.value = ""; } }, "Apply edit"));
  }

  #directionLine() {
    const line = h("input", { type: "text", placeholder: "Name, such as smile", "aria-label": "Name of the new direction", maxLength: 40, spellcheck: false });
    return h("div.line", {}, line, h("button", { type: "button", title: "Save the change you have made as a direction", onclick: async () => { if (await this.saveDirection(line.value.trim())) line.value = ""; } }, "Make a direction"));
  }

  #about() {
    const { manifest } = this;
    const how = manifest.weights ? `decoded in this page with weights stored as ${manifest.weights}, at most ${manifest.error.toFixed(2)} levels of 255 from the model over ${this.gallery} pictures` : "decoded by latentdial on this computer";
    return h("p.soft", {}, `${manifest.training_codes.toLocaleString("en")} training codes; ${how}. Nothing leaves this computer.`);
  }

  #buildPanel() {
    const kinds = [...new Set(this.dials.map((dial) => dial.kind))].filter((kind) => kind !== "axis" && kind !== "attribute");
    const tabs = [
      kinds.length && ["directions", "Dimensions"],
      this.dials.some((dial) => dial.kind === "attribute") && ["attribute", "Attributes"],
      this.dials.some((dial) => dial.kind === "axis") && ["axis", `Raw (${this.manifest.latent})`],
      ["mix", "A to B"], ["map", "Map"],
    ].filter(Boolean);
    const tabList = h("div.tabs", { role: "tablist", "aria-label": "What to turn" }, ...tabs.map(([id, label]) => h("button", {
      type: "button", role: "tab", id: `tab-${id}`, "aria-selected": String(id === this.tab), "aria-controls": "ld-panel", tabIndex: id === this.tab ? 0 : -1,
      onclick: () => { this.tab = id; this.#buildPanel(); this.#focusTab(id); },
      onkeydown: (event) => this.#tabKey(event, tabs.map(([one]) => one)),
    }, label)));
    this.panel = this.#panelOf(this.tab);
    this.panelHolder.replaceChildren(tabList, h("div", { role: "tabpanel", id: "ld-panel", "aria-labelledby": `tab-${this.tab}` }, this.panel.element));
    this.panel.refresh?.();
    if (this.now) this.#numbers(); // the warning names the dials in view
    this.#showRows();
    this.freshThumbnails();
  }

  #focusTab(id) {
    this.panelHolder.querySelector(`#tab-${id}`).focus();
  }

  #tabKey(event, ids) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    this.tab = ids[(ids.indexOf(this.tab) + step + ids.length) % ids.length];
    this.#buildPanel();
    this.#focusTab(this.tab);
  }

  #panelOf(tab) {
    if (tab === "mix") return mixTab(this);
    if (tab === "map") return mapTab(this);
    if (tab === "axis") return virtualList(this, this.dials.filter((dial) => dial.kind === "axis"));
    const dials = this.dials.filter((dial) => (tab === "attribute" ? dial.kind === "attribute" : dial.kind !== "axis" && dial.kind !== "attribute"));
    const strongest = Math.max(...dials.map((dial) => dial.effect));
    const made = dials.filter((dial) => dial.kind === "made");
    const rows = [...made, ...dials.filter((dial) => dial.kind !== "made")].map((dial) => dialRow(this, dial, strongest));
    const few = rows.slice(0, FEW + made.length);
    const list = h("div.dials", {}, ...few.map((row) => row.element));
    const more = h("button", { type: "button", onclick: () => { list.append(...rows.slice(few.length).map((row) => row.element)); few.splice(0, few.length, ...rows); more.remove(); this.#showRows(); this.freshThumbnails(); } }, `Show ${rows.length - few.length} more`);
    const about = h("p.soft", {}, (tab === "attribute" ? "Strongest first. " : "In order of what they do to pictures: c0 first, each uncorrelated with the others, in standard deviations; edits know them by these names. ") + "The bar tells how far 1 sd changes the picture, in levels of 255; the tick on a track is this picture's own value, and the tinted part is its safe range: how far pictures can typically go and stay among the real ones." +
      (dials.some((dial) => dial.reads?.length) ? " The line below tells how attributes change for +1 sd, in their own sd." : ""));
    return { element: h("div", {}, about, list, rows.length > few.length ? more : null), rows: () => few };
  }

  // -- input -----------------------------------------------------------------------------------------------------

  #compare(before) {
    const mode = before ? "before" : "edited";
    if (mode === this.mode || !this.before) return;
    this.mode = mode;
    this.#paint();
  }

  #key(event) {
    const typing = event.target.matches?.('input[type="text"], input[type="number"], input[type="search"], select');
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && !typing && (key === "z" || key === "y")) {
      event.preventDefault();
      if (key === "y" || event.shiftKey) this.redo();
      else this.undo();
    } else if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      if (key === "c") this.#compare(true);
      if (key === "r") this.reset();
    }
  }

  #drop(event) {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    this.page.classList.toggle("dropping", event.type === "dragenter" || event.type === "dragover");
    if (event.type === "drop") this.open(event.dataTransfer.files[0]);
  }
}
