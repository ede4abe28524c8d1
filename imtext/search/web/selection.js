// Selecting pictures, and what can be done with them: download as one ZIP, copy their names.

import { showSelected } from "./list.js";
import { MOST_SELECTED, selection } from "./selected.js";
import { Refusal, ask } from "./server.js";
import { $, announce, plural, size, state } from "./state.js";

const bar = $("#selection"), count = $("output", bar), message = $("p", bar);
let anchor = 0; // where a range begins

function show(text = "") {
  bar.hidden = !selection.size;
  document.body.toggleAttribute("data-selecting", selection.size > 0);
  count.textContent = `${selection.size.toLocaleString("en")} selected`;
  message.textContent = text;
  showSelected();
}

export function toggle(place) {
  const result = state.source?.get(place);
  if (!result) return;
  anchor = place;
  if (!selection.delete(result.id)) {
    if (selection.size >= MOST_SELECTED) return show(`At most ${plural(MOST_SELECTED, "picture")} can be selected`);
    selection.set(result.id, result.name);
  }
  show();
  announce(`${selection.has(result.id) ? "Selected" : "Not selected"}: ${result.name}. ${count.textContent}`);
}

// Select everything from where the selection began to here.
export async function extend(place) {
  const { source } = state, first = Math.min(anchor, place), last = Math.max(anchor, place);
  if (last - first >= MOST_SELECTED) return show(`At most ${plural(MOST_SELECTED, "picture")} can be selected`);
  try {
    await source.load(first, last);
  } catch {
    return show("The server does not respond");
  }
  for (let one = first; one <= last && selection.size < MOST_SELECTED; one++) {
    const result = source.get(one);
    if (result) selection.set(result.id, result.name);
  }
  show();
  announce(count.textContent);
}

export function clear() {
  selection.clear();
  show();
  announce("Nothing is selected");
}

async function download() {
  const address = `zip?ids=${[...selection.keys()].join(",")}`;
  message.textContent = "Preparing …";
  try {
    const head = await fetch(address, { method: "HEAD" });
    if (!head.ok) await ask(address); // says why
    const link = document.createElement("a");
    link.href = address;
    link.download = "pictures.zip";
    link.click();
    message.textContent = `Downloading ${size(Number(head.headers.get("content-length")))}`;
  } catch (error) {
    message.textContent = error instanceof Refusal ? error.message : "The server does not respond";
  }
}

async function copy() {
  try {
    await navigator.clipboard.writeText([...selection.values()].join("\n"));
    message.textContent = "Copied, one name a line";
  } catch { // refused, or not offered without encryption
    message.textContent = "The browser does not allow copying here";
  }
}

const actions = { download, copy, clear };
bar.addEventListener("click", (event) => actions[event.target.closest("[data-do]")?.dataset.do]?.());
