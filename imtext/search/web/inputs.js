// Inputs that start a search: typing, the form, chosen, pasted or dropped files, and the slider.

import { onFilters } from "./filters.js";
import { render, showCount } from "./grid.js";
import { focusFirstWhenLoaded, searchFile, searchFiltered, searchWords, showAll, watchEnd } from "./search.js";
import { $, MOST, like, query, slider, state } from "./state.js";

const PAUSE = 130; // milliseconds without a key before a search starts
const dropZone = $("#drop");
const isPicture = (file) => file.type.startsWith("image/");

let pause;
query.addEventListener("input", () => {
  focusFirstWhenLoaded(false);
  clearTimeout(pause);
  pause = setTimeout(searchWords, PAUSE);
});
$("#form").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(pause);
  searchWords();
  focusFirstWhenLoaded();
});
onFilters(searchFiltered);
$("button", like).addEventListener("click", showAll);
$("#file").addEventListener("change", (event) => {
  searchFile(event.target.files[0]);
  event.target.value = "";
});
addEventListener("paste", (event) => searchFile([...event.clipboardData.files].find(isPicture)));

let depth = 0; // of nested elements below a dragged file
addEventListener("dragenter", (event) => {
  if (event.dataTransfer.types.includes("Files")) dropZone.hidden = (depth += 1) < 1;
});
addEventListener("dragleave", () => {
  depth = Math.max(0, depth - 1);
  dropZone.hidden = depth < 1;
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  depth = 0;
  dropZone.hidden = true;
  searchFile([...event.dataTransfer.files].find(isPicture));
});

export function setLevel(value) {
  slider.value = value;
  $("#level").textContent = `${Math.round(slider.value)} %`;
}
slider.addEventListener("input", () => {
  setLevel(slider.value);
  state.complete = state.found.length >= MOST;
  render(null, false);
  watchEnd();
  showCount();
});
$("#anyway").addEventListener("click", () => {
  setLevel(0);
  slider.dispatchEvent(new Event("input"));
});
