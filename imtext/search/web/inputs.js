// Inputs that start a search: typing, the form, chosen, pasted or dropped files, filters, the slider and the views.

import { onFilters } from "./filters.js";
import { changeLevel, focusFirstWhenLoaded, open, searchFile, searchFiltered, searchWords, showAll } from "./search.js";
import { $, like, query, slider } from "./state.js";

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

slider.addEventListener("input", () => changeLevel(slider.value / 100));
$("#anyway").addEventListener("click", () => changeLevel(0));
$("#views").addEventListener("click", (event) => {
  const view = event.target.closest("a")?.dataset.view;
  if (!view || event.ctrlKey || event.metaKey || event.shiftKey) return; // a new tab, by the browser
  event.preventDefault();
  if (view === "timeline") showAll();
  else open({ kind: "duplicates", id: "", filters: {} });
});
