// The virtual list: of any number of pictures, only those in sight are in the document.

import { between, blockNear, blockOf, layout, position, vertical } from "./layout.js";
import { selection } from "./selected.js";
import { $, day, grid, state } from "./state.js";
import { fill, forget, look, make } from "./tile.js";

const AHEAD = 0.5; // screens above and below that are drawn, too
const SETTLE = 90; // milliseconds without scrolling before pictures are fetched after a fast scroll
const heads = $("#heads"), header = $("header");
const tiles = new Map(), titles = new Map();
const noPlan = layout([], 1000);

let plan = noPlan, active = 0, lastY = 0, settle, frame;

const top = () => grid.getBoundingClientRect().top + scrollY; // of the list in the page
const above = () => header.offsetHeight; // what covers the list at the top

export const columns = () => plan.columns;
export const total = () => plan.total;

export function show(y = 0) {
  for (const tile of tiles.values()) remove(tile);
  tiles.clear();
  active = 0;
  arrange();
  scrollTo({ top: y });
  draw();
}

// Lay out the sections of the source again, after more of them arrived or the window changed.
export function arrange() {
  plan = state.source ? layout(state.source.sections, grid.clientWidth) : noPlan;
  grid.parentElement.style.height = `${plan.height}px`;
  grid.style.setProperty("--side", `${plan.side}px`);
  active = Math.min(active, Math.max(0, plan.total - 1));
  titles.forEach((title) => title.remove());
  titles.clear();
  draw();
}

export function draw() {
  const origin = top(), y = scrollY - origin, tall = innerHeight;
  const [first, last] = between(plan, y - AHEAD * tall, y + (1 + AHEAD) * tall);
  const fast = Math.abs(scrollY - lastY) > tall / 2;
  lastY = scrollY;
  const focused = Number(document.activeElement?.dataset?.place ?? -1);
  for (const [place, tile] of tiles) {
    if ((place < first || place > last) && place !== focused) {
      remove(tile);
      tiles.delete(place);
    }
  }
  for (let place = last; place >= first; place--) update(place); // backwards: each goes before the next one
  const [seen] = between(plan, y + above(), y + tall);
  const stop = active >= first && active <= last ? active : Math.max(0, seen);
  for (const [place, tile] of tiles) tile.tabIndex = place === stop ? 0 : -1;
  drawTitles(y, tall, seen);
  clearTimeout(settle);
  settle = setTimeout(() => fetchSeen(first, last), fast ? SETTLE : 0);
}

function fetchSeen(first, last) {
  if (plan.total) state.source?.need(first, last);
  for (const tile of tiles.values()) look(tile);
}

function update(place) {
  let tile = tiles.get(place);
  if (!tile) {
    tile = make(place);
    tiles.set(place, tile);
    grid.insertBefore(tile, tiles.get(place + 1) ?? null); // readers follow the order of the document
  }
  const [x, y] = position(plan, place);
  tile.style.transform = `translate(${x}px, ${y}px)`;
  fill(tile, state.source.get(place), place, plan.total);
  tile.setAttribute("aria-selected", selection.has(tile.dataset.id));
}

function remove(tile) {
  forget(tile);
  tile.remove();
}

function drawTitles(y, tall, seen) {
  const from = blockNear(plan, y - AHEAD * tall), to = blockNear(plan, y + (1 + AHEAD) * tall);
  for (const [number, title] of titles) {
    if (number < from || number > to) {
      title.remove();
      titles.delete(number);
    }
  }
  for (let number = from; number <= to; number++) {
    const block = plan.blocks[number];
    if (!block?.title || titles.has(number)) continue;
    const title = $("#title").content.firstElementChild.cloneNode(true);
    title.style.cssText = `top: ${block.top}px; height: ${block.height}px`;
    $("h2", title).firstChild.textContent = block.title;
    titles.set(number, title);
    heads.append(title);
  }
  const current = plan.total ? blockOf(plan, seen) : -1;
  for (const [number, title] of titles) {
    const date = number === current && plan.blocks[number].date.length < 10 && state.source.get(seen)?.date;
    const count = plan.blocks[number].date ? plan.blocks[number].count.toLocaleString("en") : "";
    $("span", title).textContent = date ? date.slice(8, 10) + day(date.slice(0, 7)).replace(/^(\S+) \d+$/, " $1") : count;
  }
}

// The month at the top of the window; empty at the beginning.
export function dateInSight() {
  const y = scrollY - top() + above();
  return plan.total && y > plan.blocks[0].height / 2 ? plan.blocks[blockNear(plan, y)].date : "";
}

// The height to scroll to for the first section of a date: "2021", "2021-05".
export function heightOf(date) {
  const block = plan.blocks.find((one) => one.date && one.date.slice(0, date.length) <= date);
  return block && block !== plan.blocks[0] ? block.top + top() - above() : 0;
}

// The section at the top and how far it is scrolled, so that new pictures above it do not move it.
export function anchor() {
  const y = scrollY - top(), block = plan.blocks[blockNear(plan, y)];
  return block && y > 0 ? { date: block.date, offset: y - block.top } : null;
}

export function restore(held) {
  const block = held && plan.blocks.find((one) => one.date === held.date);
  if (block) scrollTo({ top: block.top + held.offset + top() });
}

// Give the focus to a picture, and scroll it into sight.
export function focus(place) {
  if (!(place >= 0 && place < plan.total)) return;
  active = place;
  const y = position(plan, place)[1] + top(), head = above() + plan.blocks[blockOf(plan, place)].head + 8;
  if (y < scrollY + head) scrollTo({ top: y - head });
  else if (y + plan.step > scrollY + innerHeight - 80) scrollTo({ top: y + plan.step - innerHeight + 80 });
  draw();
  tiles.get(place)?.focus({ preventScroll: true });
}

export function move(place, key) {
  const rows = Math.max(1, Math.floor((innerHeight - above()) / plan.step) - 1);
  const far = (direction) => {
    let next = place;
    for (let row = 0; row < rows; row++) next = vertical(plan, next, direction) ?? next;
    return next;
  };
  return {
    ArrowLeft: () => place - 1,
    ArrowRight: () => place + 1,
    ArrowUp: () => vertical(plan, place, -1),
    ArrowDown: () => vertical(plan, place, 1),
    PageUp: () => far(-1),
    PageDown: () => far(1),
    Home: () => 0,
    End: () => plan.total - 1,
  }[key]?.();
}

export function showSelected() {
  for (const tile of tiles.values()) tile.setAttribute("aria-selected", selection.has(tile.dataset.id));
}

addEventListener("scroll", () => {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(draw);
}, { passive: true });
new ResizeObserver(() => {
  if (Math.abs(grid.clientWidth - (plan.step * plan.columns - (plan.step - plan.side))) > 1) arrange();
}).observe(grid);
