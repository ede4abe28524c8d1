// Searching: a mode (words, a similar picture, an upload, or everything) becomes one request. The grid shows its response.

import { filters, setFilters } from "./filters.js";
import { explain, render } from "./grid.js";
import { Refusal, fetchResults } from "./server.js";
import { $, MOST, PAGE, busy, grid, like, query, state, viewer } from "./state.js";

const filterKey = () => JSON.stringify(filters());
let controller = new AbortController();
let focusGrid = false; // whether the first result gets the focus when it arrives

export async function load(next = state.mode, more = false) {
  controller.abort();
  controller = new AbortController();
  const mode = (state.mode = next);
  mode.filters = filterKey();
  const { signal } = controller;
  const count = more ? Math.min(state.found.length + PAGE, MOST) : PAGE;
  grid.setAttribute("aria-busy", "true");
  try {
    const before = state.found.length;
    const response = await fetchResults(mode, count, more ? before : 0, signal);
    const { results, total } = response;
    state.found = mode.kind === "all" && more ? [...state.found, ...results] : results;
    // A page of all pictures may be short, because a picture was just removed.
    state.complete = mode.kind === "all"
      ? state.found.length >= total || !results.length
      : count >= MOST || results.length < count || (more && results.length === before);
    state.info.pictures = total;
    render(response, more);
    watchEnd();
    focusFirst();
  } catch (error) {
    if (signal.aborted) return;
    state.complete = mode.failed = true;
    if (more) return; // the results so far stay
    state.found = [];
    render(null, false);
    explain("The search failed", error instanceof Refusal ? error.message : "The server does not respond. Is it still running?", false);
  } finally {
    if (!signal.aborted) grid.setAttribute("aria-busy", "false");
  }
}

// The address names the search, so that it can be bookmarked.
function updateAddress() {
  const { mode } = state;
  const parts = { ...(mode.kind === "words" && { q: mode.text }), ...(mode.kind === "like" && { like: mode.id }), ...filters() };
  const address = Object.keys(parts).length ? `?${new URLSearchParams(parts)}` : "./";
  if (address !== location.search || address === "./") history.replaceState(null, "", address);
  document.title = mode.kind === "words" ? `${mode.text} – imtext` : "imtext";
}

function choose(next, picture) {
  like.hidden = !picture;
  if (picture) {
    query.value = "";
    URL.revokeObjectURL($("img", like).src); // of the previous file
    $("img", like).src = picture;
  }
  if (viewer.open) viewer.close();
  load(next);
  updateAddress();
}

export function searchWords() {
  const { mode } = state;
  const text = query.value.trim();
  if (text === (mode.text ?? "") && mode.kind !== "like" && mode.kind !== "upload" && !mode.failed && filterKey() === mode.filters) return;
  choose(text ? { kind: "words", text } : { kind: Object.keys(filters()).length ? "newest" : "all" });
}

export function searchFiltered() {
  if (state.mode.kind !== "like" && state.mode.kind !== "upload") searchWords();
  else if (filterKey() !== state.mode.filters) {
    load();
    updateAddress();
  }
}

export function searchSimilar(id) {
  focusGrid = true;
  choose({ kind: "like", id }, `thumbnails/${id}`);
}

export function searchFile(file) {
  if (!file) return;
  if (file.size > 20_000_000) {
    explain("The picture is too large", "The limit is 20 MB.", false);
    return;
  }
  choose({ kind: "upload", file }, URL.createObjectURL(file));
}

export function showAll() {
  query.value = "";
  setFilters({});
  choose({ kind: "all" });
  query.focus();
}

export function focusFirst() {
  if (focusGrid) $("#grid button")?.focus();
  focusGrid = false;
}

export function focusFirstWhenLoaded(wanted = true) {
  focusGrid = wanted;
  if (wanted && !busy()) focusFirst();
}

// Load more results when the user scrolls.
const end = new IntersectionObserver((entries) => {
  if (entries[0].isIntersecting && !state.complete && state.found.length && !busy()) load(state.mode, true);
}, { rootMargin: "600px" });

export function watchEnd() {
  end.disconnect(); // a new observation reports the end again if it is still in sight
  end.observe($("#more"));
}
