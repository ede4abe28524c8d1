// The keyboard: / searches, arrows move, Enter opens, Space selects, s finds similar pictures, ? lists all keys.

import * as list from "./list.js";
import { searchSimilar, showAll, showFolded } from "./search.js";
import { selection } from "./selected.js";
import { clear, extend, toggle } from "./selection.js";
import { $, grid, query, state, viewer } from "./state.js";
import { actions, view } from "./viewer.js";

const help = $("#help");

function inViewer(event) {
  const action = { ArrowLeft: "previous", ArrowRight: "next", s: "similar", x: "select" }[event.key];
  if (!action) return;
  event.preventDefault();
  actions[action]();
}

function inGrid(event) {
  const place = Number(event.target.dataset.place), result = state.source.get(place);
  if (event.key === "Enter") view(place);
  else if (event.key === " ") toggle(place);
  else if (event.key === "s" && result) searchSimilar(result.id);
  else if (event.key === "d" && result?.near_duplicates) showFolded(result.id);
  else if (event.key === "ArrowUp" && list.move(place, "ArrowUp") === undefined) query.focus();
  else {
    const next = list.move(place, event.key);
    if (next === undefined) return;
    list.focus(next);
    if (event.shiftKey && next >= 0 && next < list.total()) extend(next);
  }
  event.preventDefault();
}

// A click on the check mark selects; with Shift, everything from the last one to here.
grid.addEventListener("click", (event) => {
  const tile = event.target.closest(".tile");
  if (!tile || !(event.shiftKey || event.ctrlKey || event.metaKey || event.target.matches(".check"))) return;
  event.stopImmediatePropagation(); // it does not open the picture
  const place = Number(tile.dataset.place);
  if (event.shiftKey) extend(place);
  else toggle(place);
  list.focus(place);
}, { capture: true });
grid.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault()); // no text is marked

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, select, textarea");
  if (viewer.open) inViewer(event);
  else if ($("dialog[open]")) return;
  else if (event.key === "/" && (!typing || (event.target === query && !query.value))) {
    event.preventDefault();
    query.select();
    query.focus();
  } else if (event.key === "?" && !typing) help.showModal();
  else if (event.key === "Escape") {
    if (selection.size) clear();
    else {
      showAll();
      query.focus();
    }
  } else if (event.target === query && event.key === "ArrowDown") {
    event.preventDefault();
    list.focus(0);
  } else if (event.target.matches(".tile")) inGrid(event);
});
for (const opener of document.querySelectorAll("[data-opens]")) opener.addEventListener("click", () => $(`#${opener.dataset.opens}`).showModal());
for (const dialog of document.querySelectorAll("dialog.card")) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest(".close")) dialog.close();
  });
}
