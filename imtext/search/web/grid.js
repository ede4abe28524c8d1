// The grid of results, the status line and the message that takes the place of an empty grid.

import { $, grid, percent, slider, state } from "./state.js";

const status = $("#status"), nothing = $("#nothing");
const level = (value) => (value >= 0.5 ? "high" : value >= 0.2 ? "fair" : "low");

function tile(result, place) {
  const item = $("#tile").content.firstElementChild.cloneNode(true);
  const badge = $(".badge", item), button = $("button", item);
  $("img", item).src = `thumbnails/${result.id}`;
  const words = result.found_by.filter((reason) => reason !== "picture");
  $(".caption", item).textContent = words.length ? `${result.name} · ${words.join(", ")}` : result.name;
  if (result.relevance !== null) {
    badge.textContent = percent(result.relevance);
    badge.dataset.level = level(result.relevance);
  }
  button.setAttribute("aria-label", `${result.name}${result.relevance === null ? "" : `, ${percent(result.relevance)} relevant`}`);
  button.dataset.place = place;
  return item;
}

export function render(response, keep) {
  const { found, mode } = state;
  const calibrated = found.some((result) => result.relevance !== null);
  $(".relevance").toggleAttribute("data-off", !calibrated);
  slider.disabled = !calibrated;
  state.shown = calibrated ? found.filter((result) => result.relevance === null || result.relevance >= slider.value / 100) : found;
  if (calibrated && state.shown.length < found.length) state.complete = true; // all further results are less relevant
  const old = keep ? [...grid.children] : [];
  const focused = document.activeElement?.closest?.("#grid button")?.dataset.place;
  // Tiles that are in place already stay, so that nothing flickers and the focus is kept.
  grid.replaceChildren(...state.shown.map((result, place) => (old[place] && $("img", old[place]).src.endsWith(result.id) ? old[place] : tile(result, place))));
  if (keep && focused !== undefined) grid.children[focused]?.firstElementChild.focus();
  nothing.hidden = state.shown.length > 0;
  if (!state.shown.length && mode.kind === "all") explain("Nothing is indexed yet", "imtext index ~/Pictures fills this page; the server need not be restarted.", false);
  else if (!state.shown.length) explain("No good match", `No picture reaches ${Math.round(slider.value)} % relevance for this query.`, found.length > 0);
  if (response) showStatus(response);
  if (!keep) window.scrollTo({ top: 0 });
}

function showStatus(response) {
  const { mode, shown, found, complete } = state;
  const total = response.total.toLocaleString();
  const parts = mode.kind === "all"
    ? [`${total} picture${response.total === 1 ? "" : "s"}`]
    : [`${shown.length}${complete || shown.length < found.length ? "" : "+"} of ${total} pictures`, `${response.milliseconds.toFixed(0)} ms`];
  if (response.unknown_words.length) parts.push(`not in the model's vocabulary: ${response.unknown_words.join(", ")}`);
  if (response.cut_words.length) parts.push(`too long for the model, not read: ${response.cut_words.join(" ")}`);
  status.textContent = parts.join(" · ");
}

export function showCount() {
  if (state.mode.kind !== "all") status.textContent = status.textContent.replace(/^\d+\+?/, state.shown.length);
}

export function explain(title, text, anyway) {
  $("h2", nothing).textContent = title;
  $("p", nothing).textContent = text;
  $("#anyway").hidden = !anyway;
  nothing.hidden = false;
  if (title !== "No good match") status.textContent = "";
}
