// One picture, large.

import * as list from "./list.js";
import { searchFiltered, searchSimilar, showFolded } from "./search.js";
import { selection } from "./selected.js";
import { toggle } from "./selection.js";
import { $, day, grid, percent, plural, state, viewer } from "./state.js";
import { why } from "./tile.js";

const button = (name) => $(`[data-do=${name}]`, viewer);

export async function view(place) {
  const { source } = state;
  if (!(place >= 0 && place < source.total)) return;
  state.current = place;
  if (!source.get(place)) {
    await source.load(place, place).catch(() => {});
    if (state.current !== place) return;
  }
  const result = source.get(place);
  if (!result) return;
  const image = $("img", viewer);
  image.src = `thumbnails/${result.id}?size=1600`;
  image.alt = result.name;
  $(".file", viewer).textContent = result.name;
  $(".figures", viewer).textContent = figures(result).join(" · ");
  $("a", viewer).href = `images/${result.id}`;
  button("folded").hidden = !result.near_duplicates;
  button("folded").textContent = plural(result.near_duplicates ?? 0, "near duplicate");
  button("near").hidden = !result.place;
  showPicked(result);
  $(".previous", viewer).hidden = place === 0;
  $(".next", viewer).hidden = place === source.total - 1;
  if (!viewer.open) viewer.showModal();
  source.need(place, place + 1);
}

function showPicked(result) {
  const picked = selection.has(result.id);
  button("select").textContent = picked ? "Selected" : "Select";
  button("select").setAttribute("aria-pressed", picked);
}

function figures(result) {
  const parts = [];
  if (result.relevance !== null) parts.push(`${percent(result.relevance)} relevant`);
  if (result.score !== null) parts.push(`similarity ${result.score.toFixed(3)}`);
  if (why(result)) parts.push(`found by ${why(result)}`);
  if (result.fact) parts.push(result.fact);
  if (result.date) parts.push(`${day(result.date.slice(0, 10))}${result.date_from === "file" ? " (date of the file)" : ""}`);
  if (result.place) parts.push(result.place.map((degrees) => degrees.toFixed(4)).join(", "));
  if (result.copies) parts.push(plural(result.copies, "more copy", "more copies"));
  return parts;
}

const shown = () => state.source.get(state.current);

export const actions = {
  previous: () => view(state.current - 1),
  next: () => view(state.current + 1),
  close: () => viewer.close(),
  similar: () => searchSimilar(shown().id),
  folded: () => showFolded(shown().id),
  near: () => searchFiltered({ ...state.search.filters, near: shown().place.map((degrees) => degrees.toFixed(5)).join(",") }),
  select: () => {
    toggle(state.current);
    showPicked(shown());
  },
  copy: async (from) => {
    try {
      await navigator.clipboard.writeText(shown().name);
      from.textContent = "Copied";
    } catch { // refused, or not offered without encryption
      from.textContent = "Not allowed here";
    }
    setTimeout(() => (from.textContent = "Copy name"), 1200);
  },
};

viewer.addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-do]");
  if (chosen) actions[chosen.dataset.do](chosen);
  else if (event.target.matches("figure, figure img")) viewer.close();
});
viewer.addEventListener("close", () => {
  if (state.source?.get(state.current)) list.focus(state.current);
});
grid.addEventListener("click", (event) => {
  const tile = event.target.closest(".tile");
  if (tile) event.preventDefault();
  if (!tile?.dataset.id) return;
  const place = Number(tile.dataset.place);
  if (event.target.matches(".stack")) showFolded(tile.dataset.id);
  else view(place);
});
