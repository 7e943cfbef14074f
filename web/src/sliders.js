// One row for each dial: thumbnails at both ends, name, effect, lock, number and slider.
import { h } from "./dom.js";

const ROW = 84;

export function dialRow(app, dial, strongest) {
  const name = app.nameOf(dial);
  const within = (sds) => (Math.max(-dial.reach, Math.min(dial.reach, sds)) + dial.reach) / (2 * dial.reach);
  let shownBase = null; // the picture that the tick and the safe range are of
  let shown = ""; // turning one slider leaves most others as they are, and the page is slower than the net
  const percent = (sds) => `calc(${(100 * within(sds)).toFixed(1)}%)`;
  const ends = [0, 1].map((end) => h("canvas.smooth", {
    width: 1, height: 1, title: `${name} at the ${end ? "upper" : "lower"} end of its ${dial.measured ? "safe range" : "slider"}`, "aria-hidden": "true",
    onclick: () => !dial.locked && app.turn(dial, dial.safe(app.state.base)[end], true),
  }));
  const range = h("input", {
    type: "range", min: -dial.reach, max: dial.reach, step: 0.01, "aria-label": name,
    oninput: () => app.turn(dial, Number(range.value)),
    onchange: () => app.settle(),
    ondblclick: () => app.turn(dial, dial.read(app.state.base), true),
    onkeydown: (event) => event.key === "Delete" && app.turn(dial, dial.read(app.state.base), true),
    title: "Double-click or Delete sets it back",
  });
  const number = h("input", {
    type: "number", step: 0.1, "aria-label": `${name}, in standard deviations`,
    onchange: () => Number.isFinite(number.valueAsNumber) && app.turn(dial, number.valueAsNumber, true),
    onblur: () => { number.value = dial.read(app.state.code).toFixed(2); },
  });
  const title = h("input", {
    type: "text", value: name, maxLength: 40, "aria-label": `Name of ${dial.name}`, spellcheck: false, title: `Rename it here; edits know it as ${dial.name}`,
    onchange: () => app.rename(dial, title.value.trim()),
  });
  const lock = h("button.plain", {
    "aria-pressed": String(dial.locked), "aria-label": `Lock ${name}`, title: "Lock: keeps its value when another picture or a random one is loaded",
    onclick: () => {
      dial.locked = !dial.locked;
      lock.setAttribute("aria-pressed", String(dial.locked));
      lock.replaceChildren(lockIcon(dial.locked));
      row.show();
    },
  }, lockIcon(dial.locked));
  const tick = h("span.tick", { "aria-hidden": "true" });
  const track = h("div.track", {}, tick, range);
  const bar = h("i");
  bar.style.setProperty("--share", `${(100 * dial.effect) / (strongest || 1)}%`);
  if (!dial.measured) track.title = "Its safe range is not measured here: latentdial directions does that";
  const effect = h("span.effect", { title: `Turning it by 1 sd changes the picture by ${dial.effect.toFixed(2)} levels of 255` }, bar, h("span", {}, dial.effect.toFixed(1)));
  const reads = dial.reads?.length ? h("div.reads", { title: "How attributes change for +1 sd, in their own sd" }, `+1 sd: ${dial.reads.join(", ")}`) : null;
  const element = h("div.dial", { "data-dial": dial.name }, ends[0],
    h("div", {}, h("div.head", {}, title, effect, lock, number), track, reads), ends[1]);
  const row = {
    dial, element, ends, range,
    show() {
      const sds = dial.read(app.state.code);
      const out = dial.unsafe(app.state.code, app.state.base);
      const text = `${sds.toFixed(2)} standard deviations${out ? ", outside the safe range" : ""}`;
      if (shown !== `${text} ${dial.locked}`) {
        shown = `${text} ${dial.locked}`;
        range.value = sds;
        range.disabled = number.disabled = dial.locked;
        if (document.activeElement !== number) number.value = sds.toFixed(2);
        range.setAttribute("aria-valuetext", text);
        element.classList.toggle("out", out);
        element.classList.toggle("locked", dial.locked);
      }
      if (shownBase === app.state.base) return;
      shownBase = app.state.base;
      const [low, high] = dial.measured ? dial.safe(shownBase) : [0, 0];
      tick.style.setProperty("--own", within(dial.read(shownBase)));
      track.style.setProperty("--low", percent(low));
      track.style.setProperty("--high", percent(high));
    },
  };
  row.show();
  return row;
}

function lockIcon(closed) {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  for (const [key, value] of Object.entries({ width: 14, height: 14, viewBox: "0 0 16 16", fill: "none", stroke: "currentColor", "stroke-width": 1.6, "aria-hidden": "true" })) svg.setAttribute(key, value);
  const path = document.createElementNS(ns, "path");
  path.setAttribute("d", `M4.5 7V5a3.5 3.5 0 0 1 ${closed ? "7 0v2" : "6.8-1.2"}M3 7h10v7H3z`);
  svg.append(path);
  return svg;
}

// All dials of a kind, found by name, with only the rows in view in the page.
export function virtualList(app, dials) {
  const strongest = Math.max(...dials.map((dial) => dial.effect));
  const space = h("div");
  const viewport = h("div.viewport", { onscroll: () => refresh(), tabIndex: 0, role: "group", "aria-label": "All dimensions" }, space);
  const count = h("span.soft", { role: "status" });
  const search = h("input", { type: "search", placeholder: "Find a dimension", "aria-label": "Find a dimension", oninput: () => { viewport.scrollTop = 0; refresh(); } });
  const order = h("select", { "aria-label": "Order", onchange: () => { rows.clear(); space.replaceChildren(); refresh(); } },
    h("option", { value: "effect" }, "Strongest first"), h("option", { value: "name" }, "By number"));
  const rows = new Map();
  function refresh() {
    const wanted = search.value.trim().toLowerCase();
    const found = dials.filter((dial) => dial.name === wanted || app.nameOf(dial).toLowerCase().includes(wanted));
    if (order.value === "name") found.sort((a, b) => Number(a.name) - Number(b.name));
    count.textContent = `${found.length} of ${dials.length}`;
    space.style.height = `${found.length * ROW}px`;
    const first = Math.max(0, Math.floor(viewport.scrollTop / ROW) - 1);
    const seen = found.slice(first, first + Math.ceil((viewport.clientHeight || 600) / ROW) + 2);
    for (const [dial, row] of rows) if (!seen.includes(dial)) { row.element.remove(); rows.delete(dial); }
    seen.forEach((dial, i) => {
      if (!rows.has(dial)) {
        const next = rows.get(seen.slice(i).find((one) => rows.has(one))); // Tab goes through rows as they stand in the page
        rows.set(dial, dialRow(app, dial, strongest));
        space.insertBefore(rows.get(dial).element, next?.element ?? null);
      }
      const row = rows.get(dial);
      row.element.style.top = `${(first + i) * ROW}px`;
      row.show();
    });
    app.freshThumbnails();
  }
  return { element: h("div", {}, h("div.finder", {}, search, order, count), viewport), refresh, rows: () => [...rows.values()] };
}
