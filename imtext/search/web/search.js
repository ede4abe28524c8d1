// A search becomes a source of pictures, and the list shows it: all by date, words, a picture, or duplicates.

import { write } from "./address.js";
import { showFilters } from "./filters.js";
import { showJumps } from "./jump.js";
import * as list from "./list.js";
import { Refusal } from "./server.js";
import { folded, groups, results, timeline } from "./sources.js";
import { $, announce, grid, like, plural, query, slider, state, viewer } from "./state.js";

const status = $("#status"), nothing = $("#nothing");
let controller = new AbortController();
let focusGrid = false; // whether the first picture gets the focus when it arrives
let reloading = false;

function source(search, signal) {
  if (search.kind === "all") return timeline(search.filters, arrived, signal);
  if (search.kind !== "duplicates") return results(search, levelOf(search), arrived, signal);
  return search.id ? folded(search.id, signal) : groups(arrived, signal);
}

const levelOf = (search) => search.level ?? state.info.min_relevance ?? 0;

// More pictures arrived. Those of the timeline had their places before; the others make the list longer.
function arrived(version) {
  if (!state.source) return;
  if (version) list.draw();
  else {
    list.arrange();
    showStatus();
  }
  if (version && version !== state.source.version) reload();
}

// Show a search. `address`: "push" makes a new entry of the browser's history, "replace" changes the present one.
export async function open(search, { address = "push", y = 0 } = {}) {
  controller.abort();
  controller = new AbortController();
  const { signal } = controller;
  state.search = search;
  showInputs(search);
  if (viewer.open) viewer.close();
  const named = write(search);
  if (address === "push" && named !== (location.search || "./")) history.pushState(null, "", named);
  else if (address) history.replaceState(history.state, "", named);
  grid.setAttribute("aria-busy", "true");
  try {
    const found = await source(search, signal);
    if (signal.aborted) return;
    state.source = found;
    search.failed = false;
    list.show(y);
    if (search.at && !y) scrollTo({ top: list.heightOf(search.at) });
    afterwards();
    focusFirst();
  } catch (error) {
    if (signal.aborted) return;
    state.source = null;
    search.failed = true;
    list.show();
    showJumps([]);
    explain("The search failed", error instanceof Refusal ? error.message : "The server does not respond. Is it still running?");
  } finally {
    if (!signal.aborted) grid.setAttribute("aria-busy", "false");
  }
}

// The index has changed: count again, and stay where the user is.
export async function reload() {
  if (reloading || state.search.kind !== "all") return;
  reloading = true;
  const { signal } = controller;
  try {
    const found = await source(state.search, signal);
    const held = list.anchor();
    state.source = found;
    list.arrange();
    list.restore(held);
    afterwards();
  } catch { // tried again at the next change
  } finally {
    reloading = false;
  }
}

function afterwards() {
  const { kind, filters } = state.search, { total, calibrated, sections, found } = state.source;
  $("#level-box").hidden = !calibrated;
  nothing.hidden = total > 0;
  if (!total && kind === "all" && !Object.keys(filters).length) explain("Nothing is indexed yet", "imtext index ~/Pictures fills this page; the server need not be restarted.");
  else if (!total && kind === "duplicates") explain("No near duplicates", "No two pictures of the index look the same.");
  else if (!total && kind === "words") explain("No good match", found ? `No picture reaches ${Math.round(slider.value)} % relevance for this query.` : "No picture passes the filters.", found > 0);
  else if (!total) explain("No picture found", "No picture passes the filters.");
  showJumps(kind === "all" ? sections : []);
  showStatus();
}

function showStatus() {
  const { kind, filters } = state.search, { total, more, response } = state.source;
  const parts = [];
  if (response) {
    state.info.pictures = response.total;
    parts.push(`${total}${more ? "+" : ""} of ${plural(response.total, "picture")}`, `${response.milliseconds.toFixed(0)} ms`);
    if (response.place) parts.push(`near ${response.place}`);
    if (response.unknown_words.length) parts.push(`not in the model's vocabulary: ${response.unknown_words.join(", ")}`);
    if (response.cut_words.length) parts.push(`too long for the model, not read: ${response.cut_words.join(" ")}`);
  } else if (kind === "all" && Object.keys(filters).length) parts.push(`${total.toLocaleString("en")} of ${plural(state.info.pictures, "picture")}`);
  else parts.push(plural(total, "picture"));
  const text = parts.join(" · ");
  if (status.textContent !== text) status.textContent = text;
}

function explain(title, text, anyway = false) {
  $("h2", nothing).textContent = title;
  $("p", nothing).textContent = text;
  $("#anyway").hidden = !anyway;
  nothing.hidden = false;
  announce(`${title}. ${text}`);
  if (!state.source) status.textContent = "";
}

function showInputs(search) {
  const { kind, text, id, file, filters } = search;
  const picture = kind === "upload" ? URL.createObjectURL(file) : kind === "like" || (kind === "duplicates" && id) ? `thumbnails/${id}` : "";
  if (query.value.trim() !== (text ?? "")) query.value = text ?? "";
  like.hidden = !picture;
  if (picture) {
    URL.revokeObjectURL($("img", like).src); // of the previous file
    $("img", like).src = picture;
    $("span", like).textContent = kind === "duplicates" ? "Near duplicates of this" : "Similar to this";
  }
  setLevel(levelOf(search));
  showFilters(kind === "duplicates" ? {} : filters);
  document.title = kind === "words" ? `${text} – imtext` : kind === "duplicates" ? "Duplicates – imtext" : "imtext";
  const view = { all: "timeline", duplicates: "duplicates" }[kind];
  for (const link of document.querySelectorAll("#views a")) link.setAttribute("aria-current", link.dataset.view === view ? "page" : "false");
}

function setLevel(level) {
  slider.value = 100 * level;
  $("#level").textContent = `${Math.round(slider.value)} %`;
}

export function changeLevel(level) {
  setLevel(level);
  state.search.level = level;
  state.source.setLevel(level);
  history.replaceState(history.state, "", write(state.search));
  list.arrange();
  list.draw();
  afterwards();
}

export function searchWords() {
  const { search } = state;
  const text = query.value.trim();
  const same = search.kind === (text ? "words" : "all") && text === (search.text ?? "");
  if (same && !search.failed) return;
  const { filters } = search;
  open(text ? { kind: "words", text, filters, level: search.level } : { kind: "all", filters }, { address: search.kind === "words" && text ? "replace" : "push" });
}

export function searchFiltered(filters) {
  const { search } = state;
  open(search.kind === "duplicates" ? { kind: "all", filters } : { ...search, filters, at: "" });
}

export function searchSimilar(id) {
  focusGrid = true;
  open({ kind: "like", id, filters: state.search.filters });
}

export function showFolded(id) {
  focusGrid = true;
  open({ kind: "duplicates", id, filters: {} });
}

export function searchFile(file) {
  if (!file) return;
  if (file.size > 20_000_000) explain("The picture is too large", "The limit is 20 MB.");
  else open({ kind: "upload", file, filters: state.search.filters }, { address: "" });
}

export function showAll() {
  query.value = "";
  open({ kind: "all", filters: {} });
}

function focusFirst() {
  if (focusGrid) list.focus(0);
  focusGrid = false;
}

export function focusFirstWhenLoaded(wanted = true) {
  focusGrid = wanted;
  if (wanted && grid.getAttribute("aria-busy") !== "true") focusFirst();
}
