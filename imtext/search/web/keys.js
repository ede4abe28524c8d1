// The keyboard: / searches, arrows move, Enter opens, s finds similar pictures, Escape starts over.

import { searchSimilar, showAll } from "./search.js";
import { $, grid, query, state, viewer } from "./state.js";
import { actions } from "./viewer.js";

function inViewer(event) {
  const action = { ArrowLeft: "previous", ArrowRight: "next", s: "similar" }[event.key];
  const last = state.shown.length - 1;
  if (!action || (action === "previous" && state.current === 0) || (action === "next" && state.current === last)) return;
  event.preventDefault();
  actions[action]();
}

function inGrid(event) {
  const place = Number(event.target.dataset.place), last = state.shown.length - 1;
  const columns = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -place, End: last - place }[event.key];
  if (event.key === "s") searchSimilar(state.shown[place].id);
  else if (step !== undefined) {
    event.preventDefault();
    if (place + step < 0 && event.key === "ArrowUp") query.focus();
    else grid.children[place + step]?.firstElementChild.focus();
  }
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (viewer.open) inViewer(event);
  else if (event.key === "/" && !event.target.matches("input")) {
    event.preventDefault();
    query.select();
    query.focus();
  } else if (event.key === "Escape") showAll();
  else if (event.target === query && event.key === "ArrowDown") {
    event.preventDefault();
    $("#grid button")?.focus();
  } else if (event.target.matches("#grid button")) inGrid(event);
});
