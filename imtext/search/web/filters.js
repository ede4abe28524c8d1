// Filters beside the words: their values go into every request and into the address.

import { $ } from "./state.js";

const panel = $("#filters"), form = $("form", panel);

export function filters() {
  return Object.fromEntries([...new FormData(form)].filter(([, value]) => value.trim()));
}

export function setFilters(values) {
  for (const field of form.elements) if (field.name) field.value = values[field.name] ?? "";
  panel.open = panel.open || Object.keys(filters()).length > 0;
  count();
}

function count() {
  const number = Object.keys(filters()).length;
  $("summary span", panel).textContent = number ? `(${number})` : "";
}

export function onFilters(search) {
  form.addEventListener("change", () => {
    count();
    search();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
}
