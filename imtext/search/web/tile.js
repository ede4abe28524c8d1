// One picture of the list. It is an option of a list box: its label says everything, and its parts are only to look at.

import { day, percent } from "./state.js";

const level = (value) => (value >= 0.5 ? "high" : value >= 0.2 ? "fair" : "low");

export function make(place) {
  const tile = document.createElement("div");
  tile.className = "tile";
  tile.dataset.place = place;
  tile.setAttribute("role", "option");
  tile.innerHTML = '<img alt="" decoding="async" hidden><i class="check"></i>';
  return tile;
}

function mark(tile, name, text) {
  const one = document.createElement("b");
  one.className = name;
  one.textContent = text;
  tile.append(one);
  return one;
}

export function fill(tile, result, place, total) {
  tile.setAttribute("aria-posinset", place + 1);
  tile.setAttribute("aria-setsize", total);
  if (tile.dataset.id === (result?.id ?? "")) return;
  tile.querySelectorAll("b").forEach((one) => one.remove());
  forget(tile);
  tile.dataset.id = result?.id ?? "";
  tile.setAttribute("aria-label", result ? label(result) : "Loading");
  if (!result) return;
  tile.dataset.name = result.fact || result.name;
  tile.toggleAttribute("data-fact", Boolean(result.fact));
  if (result.relevance !== null) mark(tile, "badge", percent(result.relevance)).dataset.level = level(result.relevance);
  const reasons = why(result);
  if (reasons) mark(tile, "why", reasons);
  if (result.near_duplicates) mark(tile, "stack", `+${result.near_duplicates}`).title = "Show near duplicates";
  if (result.date_from === "file" && result.score === null) mark(tile, "dated", "file date").title = "The camera wrote no date; this is that of the file";
}

export const why = ({ found_by }) => (found_by ?? []).filter((one) => one !== "picture").join(", ");

function label(result) {
  const parts = [result.name, result.fact];
  if (result.date) parts.push(day(result.date.slice(0, 10)) + (result.date_from === "file" ? " by its file" : ""));
  if (result.relevance !== null) parts.push(`${percent(result.relevance)} relevant`);
  if (why(result)) parts.push(`found by ${why(result)}`);
  if (result.near_duplicates) parts.push(`${result.near_duplicates} near duplicates folded`);
  return parts.filter(Boolean).join(", ");
}

// Fetch the small picture; once more if the server was busy.
export function look(tile) {
  const image = tile.firstElementChild, { id } = tile.dataset;
  if (!id || image.hasAttribute("src")) return;
  image.hidden = false;
  image.onerror = () => {
    image.hidden = true;
    if (image.dataset.again) return;
    image.dataset.again = "1";
    setTimeout(() => tile.isConnected && tile.dataset.id === id && image.hasAttribute("src") && (image.hidden = false, image.src = `thumbnails/${id}`), 1500);
  };
  image.src = `thumbnails/${id}`;
}

// Stop fetching the picture of a tile that is out of sight.
export function forget(tile) {
  const image = tile.firstElementChild;
  image.removeAttribute("src");
  delete image.dataset.again;
  image.hidden = true;
}
